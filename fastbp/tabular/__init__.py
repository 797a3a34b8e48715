"""Tables of text and numbers as inputs and targets."""
