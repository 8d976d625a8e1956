"""``"ENGINE": "fastpool.adapters.django.postgresql"``: Django's PostgreSQL, with a pool of fastpool's."""
