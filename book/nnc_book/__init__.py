"""What only the book needs: recipes, records, figures, exercises, lessons, and its command."""
