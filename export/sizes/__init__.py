"""What files take, and what formats can hold."""
