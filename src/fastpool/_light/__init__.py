"""What the standard library has, too, where that costs more to import than all of fastpool."""
