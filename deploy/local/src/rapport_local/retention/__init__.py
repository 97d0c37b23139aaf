"""What is done for customers who may leave, once they are taken in: learned, scored, priced, offered, written to."""
