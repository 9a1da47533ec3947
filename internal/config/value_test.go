package config

import (
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want   time.Duration
		format string
	}{
		"0":         {0, "0s"},
		"0s":        {0, "0s"},
		"1ns":       {1, "1ns"},
		"250ms":     {250 * time.Millisecond, "250ms"},
		"90s":       {90 * time.Second, "1m30s"},
		"10m":       {10 * time.Minute, "10m"},
		"60m":       {time.Hour, "1h"},
		"1h30m":     {90 * time.Minute, "1h30m"},
		"1h0m5s":    {time.Hour + 5*time.Second, "1h0m5s"},
		"14000s":    {14000 * time.Second, "3h53m20s"},
		"10h":       {10 * time.Hour, "10h"},
		"24h":       {day, "1d"},
		"1d":        {day, "1d"},
		"14d":       {14 * day, "14d"},
		"1d12h":     {36 * time.Hour, "1d12h"},
		"0d1s":      {time.Second, "1s"},
		"200d1ns":   {200*day + 1, "200d1ns"},
		"3650d":     {3650 * day, "3650d"},
		"1d1h1m1ms": {day + time.Hour + time.Minute + time.Millisecond, "1d1h1m0.001s"},
	}
	for text, test := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := ParseDuration(text)
			if err != nil || got != test.want {
				t.Fatalf("got %v, %v, want %v", got, err, test.want)
			}
			if format := FormatDuration(got); format != test.format {
				t.Errorf("written as %s, want %s", format, test.format)
			}
			if back, err := ParseDuration(FormatDuration(got)); err != nil || back != got {
				t.Errorf("%s reads as %v, %v", FormatDuration(got), back, err)
			}
		})
	}
}

func TestBadDurations(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "5", "1.5", "d", "1.5d", "-1d", "+1d", "-5s", "1d-5h", "1d+5h", "1d1d", "1h1d", "1d 5h", "5 s", "1w", "soon", "3651d",
		"99999999999999999999d", "87601h", "9223372036854775807h", "3650d24h", "NaN", "1e3",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is accepted as %v", text, got)
		}
	}
}

func TestFractions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want   Fraction
		format string
	}{
		"65%": {0.65, "65%"}, "0.65": {0.65, "65%"}, "2.5%": {0.025, "2.5%"}, "0": {0, "0%"}, "100%": {1, "100%"}, "1": {1, "100%"}, "33 %": {0.33, "33%"},
		"0.3333333333333333": {0.3333333333333333, "0.3333333333333333"},
	}
	for text, test := range tests {
		got, err := parseFraction(text)
		if err != nil || got != test.want {
			t.Errorf("%q is %v, %v, want %v", text, got, err, test.want)
		}
		if format := formatFraction(got); format != test.format {
			t.Errorf("%q is written as %s, want %s", text, format, test.format)
		}
	}
	for _, text := range []string{"", "%", "half", "101%", "1.01", "-1%", "NaN", "Inf", "65%%", "6 5%"} {
		if got, err := parseFraction(text); err == nil {
			t.Errorf("%q is accepted as %v", text, got)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"in_flight_bound", "interval", "interval_jitter", "db", "mode"}
	for written, want := range map[string]string{
		"in_fligth_bound": "in_flight_bound", "inFlightBound": "in_flight_bound", "in-flight-bound": "in_flight_bound", "intervall": "interval", "moed": "mode",
		"bd": "db", "x": "", "": "", "foo": "", "something_else": "",
	} {
		if got := nearest(written, names); got != want {
			t.Errorf("%q is like %q, want %q", written, got, want)
		}
	}
}
