"""From a line to its event: masks, Drain, frozen templates."""
