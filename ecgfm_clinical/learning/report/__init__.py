"""What is written about a judged head: a page, its figures, a model card."""
