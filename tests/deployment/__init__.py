"""What the files say that others run: validated, and read by the very program that they start."""
