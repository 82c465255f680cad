"""The rules of the embedded directory: who is there, what is kept of them, and who may change it."""
