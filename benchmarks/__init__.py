"""What we measure, and what we measure against."""
