"""What agent and trainer must do identically: decode, parse, window, embed, score, and read the model artifact."""
