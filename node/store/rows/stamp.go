package rows

import "time"

// Stamp writes a time so that text order is time order; "" stands for none.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// Unstamp reads what Stamp wrote; what is none is the zero time.
func Unstamp(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}
