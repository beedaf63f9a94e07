"""The demo's systems and faults, which the accuracy is measured on: nothing that trains imports them."""
