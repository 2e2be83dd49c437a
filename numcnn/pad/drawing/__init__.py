"""How the pad looks: layout, theme, and what is drawn where.  Loads pygame."""
