"""What people and programs touch: the dashboard and the HTTP interfaces. Nothing below imports them."""
