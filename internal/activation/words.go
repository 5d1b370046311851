package activation

import (
	"strings"

	"doorward/internal/secret"
)

// Words are two words that an agent says first, in the person's language. Nobody guesses them in the time an activation
// lives: each language has 4,032 pairs, and the person hangs up at the first wrong one. They are easy to say and to hear
// apart on the phone, and none of them is a number or a name.
func Words(language string) string {
	list := words[language]
	if list == "" {
		list = words["en"]
	}
	all := strings.Fields(list)
	first := secret.Below(len(all))
	second := secret.Below(len(all) - 1)
	if second >= first {
		second++ // never the same twice: it would sound like a slip
	}
	return all[first] + " " + all[second]
}

var words = map[string]string{
	"en": `acorn amber anchor apple autumn bamboo basket birch blanket bridge butter candle canyon castle cedar cherry
		cloud copper coral cotton desert dolphin dragon eagle falcon feather forest fountain garden ginger glacier granite
		harbour hazel honey island ivory jasmine kettle lantern lemon lighthouse maple marble meadow mountain mustard
		needle ocean olive orchard paper pebble pepper pillow planet pumpkin rabbit raven river saddle silver thunder
		violin`,
	"de": `Ahorn Amsel Anker Apfel Bernstein Birke Brücke Brunnen Butter Dachs Distel Drachen Eiche Falke Feder Fenster
		Fichte Flöte Garten Geige Gletscher Granit Hafen Hagel Hammer Haselnuss Herbst Himmel Honig Hügel Igel Ingwer Insel
		Kamin Kastanie Kerze Kiesel Kirsche Koralle Korb Kupfer Laterne Leuchtturm Linde Marmor Mühle Nadel Olive Pfeffer
		Planet Quelle Rabe Ruder Sattel Schnecke Segel Senf Silber Spaten Teppich Trommel Wiese Wolke Zitrone`,
	"fr": `abeille abricot agneau aiguille amande ancre automne bambou banane bateau bougie brouillard cabane caillou
		cannelle carotte cascade cerise chapeau château cheval citron colline corail coton cuivre dauphin désert dragon
		érable étoile falaise faucon fenêtre flûte fontaine forêt girafe glacier granit horloge jardin lanterne lavande
		marbre miel montagne moulin moutarde nuage océan olive orage papillon planète poivre prairie renard rivière
		rocher sapin tambour tonnerre violon`,
	"it": `acero ago albero ambra ancora aquila arancia autunno balena bambù barca bosco bottone bussola cammello candela
		cannella castagna castello cavallo chitarra ciliegia collina corallo cotone deserto drago falco faro finestra
		fiume flauto foglia fontana foresta ghiacciaio giardino granito isola lampada lavanda limone luna marmo miele
		montagna mulino nuvola oceano oliva onda orologio pepe pianeta piuma ponte prato rame roccia senape stella
		tamburo tuono violino`,
}
