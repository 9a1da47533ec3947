package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// shownSecret is how a secret looks in what this package prints.
const shownSecret = "[redacted]"

// checkOf returns the check of a text that a tag names. No check repeats the
// text, since it may be a secret, and none sees an empty one.
func checkOf(name string) (func(string) error, bool) {
	checks := map[string]func(string) error{
		"":           func(string) error { return nil },
		"host_port":  checkHostPort,
		"host":       checkHost,
		"vault_path": checkVaultPath,
		"vault_url":  checkVaultURL,
		"redis_url":  checkRedisURL,
		"redis_key":  checkRedisKey,
		"proxy_url":  checkProxyURL,
		"cron":       checkCron,
	}
	check, ok := checks[name]
	return check, ok
}

// acceptText checks one value's text against its key's tags.
func (k *Key) acceptText(text string, v reflect.Value) error {
	if k.Secret && strings.Contains(text, shownSecret) {
		return errors.New(`is what "config print" shows in a secret's place: put the secret itself, or leave the key out`)
	}
	if len(k.oneOf) > 0 && !slices.Contains(k.oneOf, text) && text != k.Default {
		return fmt.Errorf("is none of %s", strings.Join(k.oneOf, ", "))
	}
	if err := k.inRange(v); err != nil {
		return err
	}
	if text == "" {
		return nil
	}
	check, _ := checkOf(k.check)
	return check(text)
}

// acceptAll checks what can only be said of the whole value.
func (k *Key) acceptAll(texts []string) error {
	if k.filled && strings.Join(texts, "") == "" {
		return errors.New("must not be empty")
	}
	if k.isList() && slices.Contains(texts, "") {
		return errors.New("has an empty entry")
	}
	return nil
}

// inRange checks a number or a duration against min and max.
func (k *Key) inRange(v reflect.Value) error {
	if k.min == "" && v.Type() == durationType {
		if v.Int() == 0 {
			return errors.New("must be more than 0")
		}
		return nil
	}
	if k.min != "" && number(v) < k.limit(v, k.min) {
		return fmt.Errorf("must be at least %s", k.min)
	}
	if k.max != "" && number(v) > k.limit(v, k.max) {
		return fmt.Errorf("must be at most %s", k.max)
	}
	return nil
}

func (k *Key) limit(v reflect.Value, text string) float64 {
	limit, _ := parseText(v.Type(), text)
	return number(limit)
}

func number(v reflect.Value) float64 {
	if v.CanInt() {
		return float64(v.Int())
	}
	return v.Float()
}

func checkHostPort(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err != nil || strings.ContainsAny(text, "/@ ") {
		return errors.New("is not host:port")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return errors.New("is not host:port: the port must be a number up to 65535")
	}
	return nil
}

var hostName = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(:[0-9]{1,5})?$`)

// checkHost accepts what egress.Settings.Allow does.
func checkHost(text string) error {
	if strings.Contains(text, "://") {
		return errors.New("must be a host without http://")
	}
	if strings.Contains(text, "/") {
		if p, err := netip.ParsePrefix(text); err != nil || p.Bits() == 0 {
			return errors.New("is not a range of addresses such as 10.0.0.0/8")
		}
		return nil
	}
	address := text
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		address = text[1 : len(text)-1]
	}
	_, notAddress := netip.ParseAddr(address)
	_, notAddressPort := netip.ParseAddrPort(text)
	if notAddress != nil && notAddressPort != nil && !hostName.MatchString(text) {
		return errors.New("is neither a host, nor *.domain, nor an address, with or without a port")
	}
	return nil
}

var pathSegment = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func checkVaultPath(text string) error {
	if strings.HasPrefix(text, "/") || strings.HasSuffix(text, "/") {
		return errors.New("must not begin or end with a slash")
	}
	for segment := range strings.SplitSeq(text, "/") {
		if segment == "." || segment == ".." || !pathSegment.MatchString(segment) {
			return errors.New(`must be names of letters, digits, ".", "_" and "-" with single slashes between them, none of them "." or ".."`)
		}
	}
	return nil
}

func checkVaultURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || !slices.Contains([]string{"http", "https", "unix"}, u.Scheme):
		return errors.New("is not a URL such as https://vault.example.com:8200")
	case u.User != nil || strings.Contains(text, "@"):
		return errors.New("must not hold a user or password")
	case u.RawQuery != "" || u.Fragment != "" || (u.Scheme == "unix") != (u.Host == ""):
		return errors.New("is not a URL such as https://vault.example.com:8200")
	}
	return nil
}

func checkRedisURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) || (u.Scheme == "unix") != (u.Host == "") {
		return errors.New("is not a URL such as redis://user:password@host:6379/0 (a password with other characters than letters and digits must be percent-encoded)")
	}
	return nil
}

var redisKey = regexp.MustCompile(`^[A-Za-z0-9._:-]+$`)

func checkRedisKey(text string) error {
	if !redisKey.MatchString(text) {
		return errors.New(`must be letters, digits, ".", "_", ":" and "-"`)
	}
	return nil
}

func checkProxyURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, u.Scheme) {
		return errors.New("is not an http:// or https:// URL such as http://proxy.example.com:3128")
	}
	return nil
}

var zoneOnly = regexp.MustCompile(`^(CRON_)?TZ=[^ ]*$`)

// checkCron accepts what robfig/cron's standard parser does, less what it takes
// and then runs at another time than it says, or never.
func checkCron(text string) error {
	if zoneOnly.MatchString(text) { // cron's parser panics on it
		return errors.New("has a time zone and no cron expression")
	}
	schedule, err := cron.ParseStandard(text)
	switch {
	case err != nil && mayShow(text): // cron repeats the text
		return fmt.Errorf(`is not a cron expression such as "*/10 * * * *" or "@every 10m": %w`, err)
	case err != nil:
		return errors.New(`is not a cron expression such as "*/10 * * * *" or "@every 10m"`)
	}
	if constant, ok := schedule.(cron.ConstantDelaySchedule); ok && !every(text, constant.Delay) {
		return errors.New("must be every so many whole seconds: cron does not count in less")
	}
	if schedule.Next(time.Unix(0, 0)).IsZero() {
		return errors.New("names a time that never comes")
	}
	return nil
}

// every reports whether an "@every …" says what cron made of it.
func every(text string, delay time.Duration) bool {
	_, said, _ := strings.Cut(text, "@every ")
	d, err := time.ParseDuration(said)
	return err == nil && d == delay
}
