"""Replacements for parts of the standard library that cost more to import than all of fastpool."""
