package rules

// What follows judges single fields the way Check does, for whoever wants to say which field is wrong: a result has only a code.

// ValidUID reports whether s has the form of an account's uid: MinUID to MaxUID digits.
func ValidUID(s string) bool { return validUID(s) }

// ValidName reports whether s may be the name of a member, a contact, a device group, a phase group or a phase: MinName to MaxName
// Chinese characters, English letters, digits, "_", "-", ".", "(" and ")".
func ValidName(s string) bool { return validName(s) }

// ValidRemark reports whether s is no longer than MaxRemark characters.
func ValidRemark(s string) bool { return validRemark(s) }

// ValidPhone reports whether s is 1 to MaxPhone digits and "-".
func ValidPhone(s string) bool { return validPhone(s) }

// ValidProductKey reports whether s may be the product key of a device group: 1 to MaxProductKey letters, digits, "-", "." and "_".
func ValidProductKey(s string) bool { return validProductKey(s) }

// ValidIotID reports whether s may be the IotId of a device: 1 to MaxIotID letters, digits, "-", ".", "_", ":" and "@".
func ValidIotID(s string) bool { return validIotID(s) }
