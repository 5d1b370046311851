package pki

import (
	"crypto/sha256"
	"strings"
)

// spoken are 256 words that read much the same in English, German, French and Italian, so that two people on the phone can
// compare them whatever they speak. No two of them differ by a single letter.
var spoken = strings.Fields(`
	accordion admiral album alligator almanac alpaca amphora ananas antenna apollo aquarium aroma asphalt aspirin atelier
	atlas atom aurora avocado azalea balcony ballad bamboo banana banjo baron basilica bazooka biathlon bikini biscuit
	boomerang boutique broccoli buffalo buffet bungalow cabaret cactus calypso camera campus canasta canyon caramel caravan
	cargo carnival cascade cashew casino castanet cello cembalo chameleon chaos chocolate clarinet club cobra cocktail
	colibri colosseum comet compass concert condor confetti coral cosmos couscous coyote crocodile curry dahlia delta
	diagonal diamond dinosaur diploma discus dollar dolomite domino drama dromedary dynamo echo eclipse elegant element
	elixir emu espresso etude eucalyptus express falafel fanfare festival fiasco finale flamenco flamingo forum gala galaxy
	gallery gazelle geranium geyser giraffe gondola gorilla graffiti granite guitar harmony harpoon hibiscus horizon hotel
	hyena idol iglu iguana insect iris jaguar jasmine jazz jockey joker jungle jury kangaroo karate karma kayak ketchup
	kimono kiosk koala labyrinth lagoon lama lasso legend lemon leopard lexicon limousine lira locomotive lotus macaroni
	magma magnet magnolia mammoth mandarin mango manuscript marathon marmalade melon menu meteor metro minaret molecule
	monsoon mosaic mosquito muffin mummy museum mustang nectar neon ninja nirvana oasis obelisk ocean olive omelette opal
	opera orange orchestra orchid oregano origami pagoda palette panda panorama papaya papyrus parade paradise passport
	pelican penguin pergola phantom piano pistachio pizza planet plankton polka poncho pony puma pyramid quartet quiz radar
	rafting robot rodeo safari saffron salami salsa samba samurai sandal sardine satellite sauna saxophone serenade sesame
	sofa soprano spaghetti sphinx stadium sultan symphony taxi telescope tempo tennis thermometer tiger tomato tornado
	torpedo trapeze tulip tundra tunnel`)

// Words are six words for a certificate, of 48 bits of its SHA-256, to be compared on the phone: who reads them out sees the
// very certificate the other one sees. They do not prove anything by themselves (SEC S1).
func Words(der []byte) []string {
	sum := sha256.Sum256(der)
	out := make([]string, 6)
	for i := range out {
		out[i] = spoken[sum[i]]
	}
	return out
}
