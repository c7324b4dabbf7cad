package config

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"vitrine/als/neighbors/tables"
)

const blendKey = "recommend.blend"

const (
	blendAuto = "auto"
	blendALS  = tables.PartFactors
	blendNew  = "new"
)

// blend is the key of the whole blend; every recommend.blend.NAME is the key
// of one weight.
func blend(doc string) key {
	return key{name: blendKey, doc: doc, set: func(c *Config, v value) error {
		switch {
		case v.text == blendAuto:
			c.Recommend.Blend, c.Recommend.New = nil, nil
			return nil
		case v.text == blendALS:
			c.Recommend.Blend, c.Recommend.New = tables.Weights{blendALS: 1}, nil
			return nil
		}
		weights, err := parseBlend(v.text)
		if err == nil {
			c.Recommend.Blend, c.Recommend.New = parted(weights)
		}
		return err
	}, show: func(c *Config) string { return showBlend(c.Recommend.Blend, c.Recommend.New) }}
}

// parted takes the weight of new items out of the weights: they are no part of
// what is trained. Nothing but it leaves the others to training.
func parted(weights tables.Weights) (tables.Weights, *float32) {
	w, given := weights[blendNew]
	if !given {
		return weights, nil
	}
	if delete(weights, blendNew); len(weights) == 0 {
		weights = nil
	}
	return weights, &w
}

// parseBlend reads weights as --set gives them: als=1,transitions=0.5, with or
// without braces.
func parseBlend(text string) (tables.Weights, error) {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "{"); ok {
		text = strings.TrimSuffix(inner, "}")
	}
	weights := tables.Weights{}
	for _, part := range splitList(text) {
		name, number, ok := strings.Cut(part, "=")
		w, err := parseNumber(value{text: strings.TrimSpace(number)})
		if !ok || err != nil {
			return nil, errors.New(`must be "auto", "als", or weights such as { als = 1, transitions = 0.5 }`)
		}
		weights[strings.TrimSpace(name)] = float32(w)
	}
	return weights, nil
}

// showBlend writes the value in TOML.
func showBlend(w tables.Weights, fresh *float32) string {
	if w == nil && fresh == nil {
		return strconv.Quote(blendAuto)
	}
	if len(w) == 1 && w[blendALS] == 1 && fresh == nil {
		return strconv.Quote(blendALS)
	}
	var parts []string
	for _, name := range tables.Parts() {
		if v, set := w[name]; set {
			parts = append(parts, name+" = "+strconv.FormatFloat(float64(v), 'g', -1, 32))
		}
	}
	if fresh != nil {
		parts = append(parts, blendNew+" = "+strconv.FormatFloat(float64(*fresh), 'g', -1, 32))
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// blendWeight is the key of one source's weight.
func blendWeight(source string) key {
	return key{
		name: blendKey + "." + source,
		set: func(c *Config, v value) error {
			w, err := parseNumber(v)
			if err != nil {
				return err
			}
			weights := maps.Clone(c.Recommend.Blend)
			if weights == nil {
				weights = tables.Weights{}
			}
			if source == blendNew {
				c.Recommend.New = new(float32(w))
				return nil
			}
			weights[source] = float32(w)
			c.Recommend.Blend = weights
			return nil
		},
	}
}

// validateBlend reports what is wrong with the weights.
func validateBlend(w tables.Weights) error {
	if w == nil {
		return nil
	}
	if err := w.Check(); err != nil {
		return fmt.Errorf("must hold weights by source: %w", err)
	}
	for _, v := range w {
		if v > 0 {
			return nil
		}
	}
	return errors.New("must give a source a weight above 0")
}
