"""Django's database backends, pooled by fastpool; docs/django.md shows the settings."""
