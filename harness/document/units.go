package document

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes: "1500", "1 MiB".
type Size uint64

var sizes = map[string]float64{"": 1, "B": 1, "KB": 1e3, "KIB": 1 << 10, "MB": 1e6, "MIB": 1 << 20, "GB": 1e9, "GIB": 1 << 30}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := splitUnit(string(text))
	factor, known := sizes[strings.ToUpper(unit)]
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || !known || !(value >= 0) || value*factor >= 1<<53 {
		return fmt.Errorf("%q is no size: write a number and B, KiB, MiB or GiB", text)
	}
	*s = Size(value * factor)
	return nil
}

// String writes a size as UnmarshalText reads it.
func (s Size) String() string {
	for _, u := range []struct {
		name string
		of   Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s >= u.of && s%u.of == 0 {
			return fmt.Sprintf("%d %s", s/u.of, u.name)
		}
	}
	return fmt.Sprintf("%d B", uint64(s))
}

var durations = map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour}

// ParseDuration reads "10 s", "500 ms", "2 min", "36 h", "3 d".
func ParseDuration(text string) (time.Duration, error) {
	number, unit := splitUnit(text)
	of, known := durations[unit]
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || !known || math.IsNaN(value) || math.Abs(value*float64(of)) >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is no duration: write a number and ms, s, min, h or d", text)
	}
	return time.Duration(value * float64(of)), nil
}

// setDuration reads a duration into a value of type [time.Duration].
func setDuration(v reflect.Value, text string) error {
	d, err := ParseDuration(text)
	v.SetInt(int64(d))
	return err
}

func splitUnit(text string) (number, unit string) {
	text = strings.TrimSpace(text)
	at := strings.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune("+-.0123456789", r) })
	if at < 0 {
		return text, ""
	}
	return text[:at], strings.TrimSpace(text[at:])
}
