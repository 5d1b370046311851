package dictionary

// Known are the lists that zxcvbn has. The tests stand in a package of their own: one of this package that needed zxcvbn would
// make it begin first.
func Known() map[string]map[string]int { return known.ranked }
