package web

import (
	"slices"
	"strings"
)

// zonesOffered are the time zones offered: one for each offset and rule that people of a European operator live in or travel
// to, by the IANA name of its best known city, from west to east. Nobody should have to know such a name by heart.
var zonesOffered = []string{
	"Pacific/Honolulu", "America/Anchorage", "America/Los_Angeles", "America/Denver", "America/Phoenix", "America/Chicago",
	"America/Mexico_City", "America/New_York", "America/Toronto", "America/Bogota", "America/Lima", "America/Halifax",
	"America/Santiago", "America/Argentina/Buenos_Aires", "America/Sao_Paulo", "Atlantic/Azores", "Atlantic/Reykjavik",
	"UTC", "Europe/Dublin", "Europe/Lisbon", "Europe/London", "Africa/Casablanca", "Africa/Lagos", "Europe/Amsterdam",
	"Europe/Berlin", "Europe/Brussels", "Europe/Copenhagen", "Europe/Luxembourg", "Europe/Madrid", "Europe/Monaco",
	"Europe/Oslo", "Europe/Paris", "Europe/Prague", "Europe/Rome", "Europe/Stockholm", "Europe/Vaduz", "Europe/Vienna",
	"Europe/Warsaw", "Europe/Zurich", "Africa/Cairo", "Africa/Johannesburg", "Asia/Jerusalem", "Europe/Athens",
	"Europe/Bucharest", "Europe/Helsinki", "Europe/Kyiv", "Europe/Istanbul", "Africa/Nairobi", "Asia/Riyadh",
	"Asia/Tehran", "Asia/Dubai", "Asia/Karachi", "Asia/Kolkata", "Asia/Dhaka", "Asia/Bangkok", "Asia/Jakarta",
	"Asia/Hong_Kong", "Asia/Shanghai", "Asia/Singapore", "Australia/Perth", "Asia/Seoul", "Asia/Tokyo",
	"Australia/Brisbane", "Australia/Sydney", "Pacific/Auckland",
}

// ZoneChoices are the zones as a list to choose from, with the present one among them even when it is none of ours: it
// may have come by an import, and saving the page must not change it unasked.
func ZoneChoices(current string) []Choice {
	names := zonesOffered
	if current != "" && !slices.Contains(zonesOffered, current) {
		names = append([]string{current}, zonesOffered...)
	}
	choices := make([]Choice, len(names))
	for i, z := range names {
		choices[i] = Choice{Value: z, Label: strings.ReplaceAll(z, "_", " ")}
	}
	return choices
}
