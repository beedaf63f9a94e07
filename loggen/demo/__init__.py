"""The demo's systems and faults, which judge: nothing that trains imports them."""
