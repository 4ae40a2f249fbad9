package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// promiseView is a promise with its chart drawn.
type promiseView struct {
	Promise
	Word     string
	Promised string
	Drawing  *drawing
}

func viewPromise(p Promise) promiseView {
	v := promiseView{Promise: p, Word: string(p.State), Promised: p.promised()}
	if p.Chart != nil && len(p.Chart.Series) > 0 {
		v.Drawing = drawChart(*p.Chart)
	}
	return v
}

// promised is the range that was promised.
func (p Promise) promised() string {
	n := func(v float64) string { return strings.TrimSpace(number(v) + " " + p.Unit) }
	switch {
	case p.Least != nil && p.Most != nil:
		return number(*p.Least) + " to " + n(*p.Most)
	case p.Least != nil:
		return "at least " + n(*p.Least)
	case p.Most != nil:
		return "at most " + n(*p.Most)
	}
	return ""
}

// drawing is a chart in the units of its view box.
type drawing struct {
	Width, Height int
	Title         string
	Shapes        []shape
}

// shape is a bar, a line, a dot or a text.
type shape struct {
	Kind          string // bar | line | dot | text | axis | mark
	X, Y, X2, Y2  float64
	Points        string
	Text, Anchor  string
	Series        int
	Width, Height float64
}

const (
	chartWidth  = 360
	chartHeight = 190
	barHeight   = 26
)

func drawChart(c Chart) *drawing {
	if c.Kind == "bars" {
		return drawBars(c)
	}
	return drawLines(c)
}

// drawBars draws a horizontal bar a point, with its value behind it.
func drawBars(c Chart) *drawing {
	const labels, values = 120.0, 56.0
	d := &drawing{Width: chartWidth}
	most := 0.0
	for _, s := range c.Series {
		for _, p := range s.Points {
			most = math.Max(most, p.Y)
		}
	}
	for _, m := range c.Marks {
		most = math.Max(most, m.At)
	}
	if most <= 0 {
		most = 1
	}
	scale := (chartWidth - labels - values) / most
	y := 6.0
	var words []string
	for i, s := range c.Series {
		for _, p := range s.Points {
			label := strings.TrimSpace(p.Label)
			if len(c.Series) > 1 {
				label = strings.TrimSpace(label + " " + s.Name)
			}
			width := math.Max(1, math.Max(0, p.Y)*scale)
			d.Shapes = append(d.Shapes,
				shape{Kind: "text", X: labels - 6, Y: y + 15, Text: label, Anchor: "end"},
				shape{Kind: "bar", X: labels, Y: y + 2, Width: width, Height: barHeight - 8, Series: i},
				shape{Kind: "text", X: labels + width + 5, Y: y + 15, Text: number(p.Y), Anchor: "start"})
			words = append(words, label+" "+number(p.Y))
			y += barHeight
		}
	}
	for _, m := range c.Marks {
		x := labels + m.At*scale
		d.Shapes = append(d.Shapes, shape{Kind: "mark", X: x, Y: 2, X2: x, Y2: y},
			shape{Kind: "text", X: math.Min(x, chartWidth-90), Y: y + 13, Text: m.Label, Anchor: "middle"})
	}
	d.Height = int(y) + 20
	if len(c.Marks) > 0 {
		d.Height += 12
	}
	d.Shapes = append(d.Shapes, shape{Kind: "text", X: chartWidth - 4, Y: float64(d.Height) - 4, Text: c.Y, Anchor: "end"})
	d.Title = c.Y + ": " + strings.Join(words, ", ")
	return d
}

// drawLines draws a line a series over x, from zero.
func drawLines(c Chart) *drawing {
	const left, bottom, top, right = 44.0, 34.0, 22.0, 12.0
	d := &drawing{Width: chartWidth, Height: chartHeight}
	var mostX, mostY float64
	for _, s := range c.Series {
		for _, p := range s.Points {
			mostX, mostY = math.Max(mostX, p.X), math.Max(mostY, p.Y)
		}
	}
	if mostX <= 0 {
		mostX = 1
	}
	if mostY <= 0 {
		mostY = 1
	}
	x := func(v float64) float64 { return left + v/mostX*(chartWidth-left-right) }
	y := func(v float64) float64 { return chartHeight - bottom - v/mostY*(chartHeight-bottom-top) }
	d.Shapes = append(d.Shapes, shape{Kind: "axis", X: left, Y: y(0), X2: chartWidth - right, Y2: y(0)}, shape{Kind: "axis", X: left, Y: y(0), X2: left, Y2: top},
		shape{Kind: "text", X: left - 5, Y: y(0) + 4, Text: "0", Anchor: "end"}, shape{Kind: "text", X: left - 5, Y: y(mostY) + 4, Text: number(mostY), Anchor: "end"},
		shape{Kind: "text", X: chartWidth - right, Y: y(0) + 14, Text: number(mostX), Anchor: "end"},
		shape{Kind: "text", X: left, Y: 12, Text: c.Y, Anchor: "start"}, shape{Kind: "text", X: chartWidth - right, Y: chartHeight - 6, Text: c.X, Anchor: "end"})
	var words []string
	for i, s := range c.Series {
		var points []string
		for _, p := range s.Points {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(p.X), y(p.Y)))
			d.Shapes = append(d.Shapes, shape{Kind: "dot", X: x(p.X), Y: y(p.Y), Series: i})
			words = append(words, fmt.Sprintf("%s %s at %s", s.Name, number(p.Y), number(p.X)))
		}
		d.Shapes = append(d.Shapes, shape{Kind: "line", Points: strings.Join(points, " "), Series: i})
		if n := len(s.Points); n > 0 {
			last := s.Points[n-1]
			d.Shapes = append(d.Shapes, shape{Kind: "text", X: x(last.X) - 6, Y: y(last.Y) - 7, Text: s.Name, Anchor: "end"})
		}
	}
	for _, m := range c.Marks {
		s := shape{Kind: "mark", X: x(m.At), Y: top, X2: x(m.At), Y2: y(0)}
		t := shape{Kind: "text", X: x(m.At) + 4, Y: y(0) + 14, Text: m.Label, Anchor: "start"}
		if m.Axis == "y" {
			s = shape{Kind: "mark", X: left, Y: y(m.At), X2: chartWidth - right, Y2: y(m.At)}
			t = shape{Kind: "text", X: left + 4, Y: y(m.At) - 4, Text: m.Label, Anchor: "start"}
		}
		d.Shapes = append(d.Shapes, s, t)
	}
	d.Title = c.Y + " over " + c.X + ": " + strings.Join(words, ", ")
	return d
}

// number is a measurement with as many digits as it is worth.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || a == math.Trunc(a):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
