package password

import (
	"strings"
	"testing"

	"doorward/internal/fault"
)

// Made by others: argon2 (the reference program), Python's hashlib, and libxcrypt.
var imported = map[string]string{
	"argon2id":              "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxNmJ5dGVzIQ$jKNhs4ghXIshKoVnPf4eNnFnHXIJubKQPfEc0y87Uao",
	"argon2i":               "$argon2i$v=19$m=4096,t=3,p=2$c29tZXNhbHQxNmJ5dGVzIQ$B73xrkz2NwKy+PIdLUfqVh124IFXHcgg",
	"scrypt":                "$scrypt$ln=14,r=8,p=1$c29tZXNhbHQxNmJ5dGVzIQ$H6Duk60fHkfmz+ltEi4yoDyTUO/IlGEpcZBWynu0dAc",
	"pbkdf2 modular":        "$pbkdf2-sha256$29000$c29tZXNhbHQxNmJ5dGVzIQ$W96oicYV.0NakBJ32aVoauFPYdIiVQnI8ZAVGukSjEE",
	"pbkdf2 PHC":            "$pbkdf2-sha256$i=29000$c29tZXNhbHQxNmJ5dGVzIQ$W96oicYV+0NakBJ32aVoauFPYdIiVQnI8ZAVGukSjEE",
	"pbkdf2 PHC, length":    "$pbkdf2-sha256$i=29000,l=32$c29tZXNhbHQxNmJ5dGVzIQ$W96oicYV+0NakBJ32aVoauFPYdIiVQnI8ZAVGukSjEE",
	"pbkdf2 SHA-512":        "$pbkdf2-sha512$29000$c29tZXNhbHQxNmJ5dGVzIQ$gq07QXEUSxVFWMPnT6UUnG8dhXgBVK63azzF/W6s7bZ1qjLxKrFX7gAJHwlRprO.8dGPox0cufnrtXWlen6Ydw",
	"pbkdf2 SHA-1, PHC":     "$pbkdf2-sha1$i=29000$c29tZXNhbHQxNmJ5dGVzIQ$cGwN1QjZvvyeQx8Q/1LlOGkF9Jw",
	"pbkdf2 SHA-1, passlib": "$pbkdf2$29000$c29tZXNhbHQxNmJ5dGVzIQ$cGwN1QjZvvyeQx8Q/1LlOGkF9Jw",
	"bcrypt 2a":             "$2a$06$abcdefghijklmnopqrstuuOjNxVli7dAxbnySRjCj54AYPuR.Czzu",
	"bcrypt 2b":             "$2b$06$abcdefghijklmnopqrstuuOjNxVli7dAxbnySRjCj54AYPuR.Czzu",
	"bcrypt 2y":             "$2y$06$abcdefghijklmnopqrstuuOjNxVli7dAxbnySRjCj54AYPuR.Czzu",
}

const importedPassword = "pässword eins zwei"

func TestSEC_K4_ImportedHashesAreVerifiedAndMadeAnew(t *testing.T) {
	m := newMethod(Config{})
	for name, hash := range imported {
		data, err := Import(hash)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		before := m.Runs()
		_, err = verify(m, importedPassword+"x", stored(string(data)))
		wantCode(t, err, "password-wrong")
		if n := m.Runs() - before; n != 1 {
			t.Errorf("%s: a wrong password costs %d hashes", name, n)
		}
		shown, err := verify(m, importedPassword, stored(string(data)))
		if err != nil || !shown.Changed || !strings.HasPrefix(string(shown.Credential.Data), "$argon2id$v=19$m=19456,t=2,p=1,keyid=ZHc$") {
			t.Errorf("%s: %v, %s", name, err, shown.Credential.Data)
			continue
		}
		if shown, err = verify(m, importedPassword, shown.Credential); err != nil || shown.Changed {
			t.Errorf("%s, made anew: %v", name, err)
		}
		_, err = verify(m, importedPassword+"x", shown.Credential)
		if err == nil {
			t.Errorf("%s, made anew, opens for anything", name)
		}
	}
}

// The other system hashed what was typed. A password that ours would prepare differently, or not at all, still opens.
func TestImportedPasswordsAreComparedAsTyped(t *testing.T) {
	m := newMethod(Config{})
	for _, c := range []struct {
		typed   string
		changed bool
	}{{"pa\u0308ssword eins zwei", true}, {"with\ttab and more", false}} {
		h := argon2idOf(Floor)
		h.keyed = false
		h.key = h.derive([]byte(c.typed))
		shown, err := verify(m, c.typed, stored(h.String()))
		if err != nil || shown.Changed != c.changed {
			t.Errorf("%q: %v, made anew %v", c.typed, err, shown.Changed)
		}
	}
}

// bcrypt reads 72 bytes; what is made anew reads all, so the tail that was typed at that sign-in counts from then on.
func TestImportedBcryptIsCutNoLonger(t *testing.T) {
	m := newMethod(Config{})
	long := strings.Repeat("x", 80)
	shown, err := verify(m, long, stored("$2b$06$abcdefghijklmnopqrstuueHLWckpI7Ut91D6aWthlKy4VKsT9yUG"))
	if err != nil || !shown.Changed {
		t.Fatal(err)
	}
	_, err = verify(m, long[:72], shown.Credential)
	wantCode(t, err, "password-wrong")
}

func TestNoKeyEqualsNothing(t *testing.T) {
	for _, h := range []hashed{{}, {key: []byte{}}, argon2idOf(Floor)} {
		if h.same(nil) || h.same([]byte{}) {
			t.Errorf("%d bytes of key equal none", len(h.key))
		}
	}
}

func TestHashesThatAreRefused(t *testing.T) {
	const salt, key = "c29tZXNhbHQxNmJ5dGVzIQ", "jKNhs4ghXIshKoVnPf4eNnFnHXIJubKQPfEc0y87Uao"
	tail := "$" + salt + "$" + key
	for _, hash := range []string{
		"", "$", "$$$$$", "plain text", "{SSHA}abc", "$1$salt$hash", "$6$salt$hash", "$argon2id$", "$argon2d$v=19$m=19456,t=2,p=1" + tail,
		"$argon2id$v=16$m=19456,t=2,p=1" + tail, "$argon2id$m=19456,t=2,p=1" + tail,
		"$argon2id$v=19$m=4294967295,t=2,p=1" + tail, "$argon2id$v=19$m=19456,t=1000,p=1" + tail, "$argon2id$v=19$m=19456,t=2,p=255" + tail,
		"$argon2id$v=19$m=0,t=2,p=1" + tail, "$argon2id$v=19$m=19456,t=0,p=1" + tail, "$argon2id$v=19$m=19456,t=2,p=0" + tail, "$argon2id$v=19$m=8,t=2,p=2" + tail,
		"$argon2id$v=19$m=19456,t=2" + tail, "$argon2id$v=19$m=19456,t=2,p=1,x=1" + tail, "$argon2id$v=19$m=19456,m=19456,t=2,p=1" + tail,
		"$argon2id$v=19$m=+19456,t=2,p=1" + tail, "$argon2id$v=19$m=019456,t=2,p=1" + tail, "$argon2id$v=19$m=19456,t=2,p=1,keyid=AAAA" + tail,
		"$argon2i$v=19$m=19456,t=2,p=1,keyid=ZHc" + tail, "$argon2id$v=19$m=19456,t=2,p=1,keyid=" + tail,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$", "$argon2id$v=19$m=19456,t=2,p=1$$" + key, "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + key + "=",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + key + "\n", "$argon2id$v=19$m=19456,t=2,p=1" + tail + "$",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + strings.Repeat("A", 2000),
		"$scrypt$ln=30,r=8,p=1" + tail, "$scrypt$ln=20,r=32,p=1" + tail, "$scrypt$ln=14,r=8" + tail,
		"$pbkdf2-sha256$99999999$" + salt + "$" + key, "$pbkdf2-sha256$0$" + salt + "$" + key, "$pbkdf2-md5$29000$" + salt + "$" + key,
		"$2b$31$abcdefghijklmnopqrstuuOjNxVli7dAxbnySRjCj54AYPuR.Czzu", "$2x$06$abcdefghijklmnopqrstuuOjNxVli7dAxbnySRjCj54AYPuR.Czzu",
		"$2b$06$abcdefghijklmnopqrstuuOjNxVli7dAxbnySRjCj54AYPuR.Czz", "$2b$06$abcdefghijklmnopqrstuuOjNxVli7dAxbnySRjCj54AYPuR.Cz u",
	} {
		h, err := parse(hash)
		if f := fault.As(err); f == nil || f.Code != "password-hash-unknown" || h.key != nil {
			t.Errorf("%q is taken: %v", hash, err)
		}
	}
	if _, err := Import(newMethod(Config{}).hash(Floor, good)); !fault.Of(err, fault.Invalid) {
		t.Errorf("a peppered hash is imported: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, h := range imported {
		f.Add(h)
	}
	f.Add("$argon2id$v=19$m=19456,t=2,p=1,keyid=ZHc$c29tZXNhbHQxNmJ5dGVzIQ$jKNhs4ghXIshKoVnPf4eNnFnHXIJubKQPfEc0y87Uao")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parse(s)
		if err != nil {
			if !fault.Of(err, fault.Invalid) || h.key != nil {
				t.Fatal(err)
			}
			return
		}
		if len(h.key) < 16 || h.scheme != "bcrypt" && (len(h.salt) < 4 || h.passes == 0) {
			t.Fatalf("%q: %+v", s, h)
		}
		if strings.HasPrefix(h.scheme, "argon2") && (h.memory > memoryMax || h.passes > passesMax || h.lanes > lanesMax || h.lanes == 0 || h.memory < 8*uint32(h.lanes)) {
			t.Fatalf("%q: %+v", s, h)
		}
		if h.scheme == "scrypt" && uint64(h.memory)*uint64(h.passes) > memoryMax<<3 {
			t.Fatalf("%q: %+v", s, h)
		}
		if h.scheme == "argon2id" {
			if again, err := parse(h.String()); err != nil || again.String() != h.String() {
				t.Fatalf("%q is written as %q: %v", s, h, err)
			}
		}
	})
}
