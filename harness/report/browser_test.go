package report

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a headless Chromium for a test; where there is none the test is
// skipped, and says how to get it.
func browser(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: offload-e2e setup --test installs it where Debian has it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true))
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(closeTab)
	if err := chromedp.Listen(ctx, func(event any) {
		if e, thrown := event.(*runtime.EventExceptionThrown); thrown {
			t.Errorf("the page's script failed: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, runtime.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// look is how a page is looked at.
type look struct {
	name          string
	width, height int64
	dark, print   bool
}

var looks = []look{{"wide", 1280, 900, false, false}, {"narrow", 360, 740, false, false}, {"dark", 1280, 900, true, false}, {"print", 900, 1100, false, true}}

func (l look) set(t *testing.T, ctx context.Context) {
	t.Helper()
	scheme, media := "light", ""
	if l.dark {
		scheme = "dark"
	}
	if l.print {
		media = "print"
	}
	_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 500})
	if err == nil {
		_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media,
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// opened writes a report into a folder and opens its page from the disk.
func opened(t *testing.T, ctx context.Context, r *Report, scenarios []Outcome) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "desktop-journal.log"), []byte("sshd[1]: Accepted publickey\n<b>kernel</b>: nfsd started\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	artifacts, err := Artifacts(dir)
	if err != nil {
		t.Fatal(err)
	}
	r.Artifacts = artifacts
	var b strings.Builder
	if err := (HTML{Dir: dir, Scenarios: scenarios}).Write(&b, r); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, HTMLFile)
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	show(t, ctx, file)
}

// show opens a page from the disk.
func show(t *testing.T, ctx context.Context, file string) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.Navigate((&url.URL{Scheme: "file", Path: file}).String())); err != nil {
		t.Fatal(err)
	}
}

func evaluate[T any](t *testing.T, ctx context.Context, script string) T {
	t.Helper()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatalf("%v in %s", err, script)
	}
	return got
}

// accessible finds what a reader with a screen reader, a keyboard or weak eyes would
// stumble over (WCAG 2.1, AA): landmarks, headings, names, contrast, overflow.
const accessible = `(() => {
  const wrong = [];
  const all = (s) => [...document.querySelectorAll(s)];
  const what = (e) => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + "." + e.className + " " + e.textContent.trim().slice(0, 40);
  for (const s of ["header", "nav", "main", "footer", "h1"]) if (all("body > " + s + ", header > " + s).length !== 1) wrong.push("not one " + s);
  if (!document.documentElement.lang || !document.title) wrong.push("no language or title");
  let level = 0;
  for (const h of all("h1, h2, h3, h4")) { const n = +h.tagName[1]; if (n > level + 1) wrong.push("heading skips a level: " + what(h)); level = n; }
  const ids = all("[id]").map((e) => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push("id twice: " + id);
  for (const e of all("[aria-labelledby]")) if (!document.getElementById(e.getAttribute("aria-labelledby"))) wrong.push("label is missing: " + what(e));
  for (const a of all("a[href^='#']")) if (!document.getElementById(decodeURIComponent(a.getAttribute("href").slice(1)))) wrong.push("link to nowhere: " + a.getAttribute("href") + " " + what(a));
  for (const e of all("a, summary, button")) if (!e.textContent.trim() && !e.getAttribute("aria-label")) wrong.push("no name: " + what(e));
  for (const e of all("input")) if (!e.closest("label") && !e.getAttribute("aria-label")) wrong.push("input without label: " + what(e));
  for (const e of all("svg")) if (e.getAttribute("role") !== "img" || !e.getAttribute("aria-label")) wrong.push("picture without words");
  for (const e of all("th")) if (!e.getAttribute("scope")) wrong.push("th without scope: " + what(e));
  for (const e of all("[tabindex]")) if (+e.getAttribute("tabindex") > 0) wrong.push("order of focus is not that of the page: " + what(e));
  if (document.documentElement.scrollWidth > innerWidth) wrong.push("wider than the screen: " + document.documentElement.scrollWidth + " " +
    all("body *").filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest("nav")).map(what).slice(0, 3).join(" | "));
  const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return {rgb: m.slice(0, 3), alpha: m.length > 3 ? m[3] : 1}; };
  const light = (rgb) => { const [r, g, b] = rgb.map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.alpha === 1) return c.rgb; } return [255, 255, 255]; };
  for (const e of all("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || ["SCRIPT", "STYLE"].includes(e.tagName) || !e.checkVisibility({visibilityProperty: true})) continue;
    const style = getComputedStyle(e);
    const svg = e instanceof SVGElement;
    const fore = light(parse(svg ? style.fill : style.color).rgb), back = light(svg && e.closest(".machine") ? parse(getComputedStyle(e.closest(".machine").querySelector("rect")).fill).rgb : ground(e));
    const ratio = (Math.max(fore, back) + .05) / (Math.min(fore, back) + .05);
    if (ratio < 4.5) wrong.push("contrast " + ratio.toFixed(2) + ": " + what(e));
  }
  return [...new Set(wrong)];
})()`

// TestPageInABrowser looks at pages in every way, those of runs in the folders of
// PAGES too; with SCREENSHOTS=dir it keeps pictures, for people to look at.
func TestPageInABrowser(t *testing.T) {
	ctx := browser(t)
	inspect := func(t *testing.T, name string) {
		for _, l := range looks {
			l.set(t, ctx)
			l.keep(t, ctx, name)
			evaluate[bool](t, ctx, `document.querySelectorAll("details").forEach((d) => d.open = true); true`)
			for _, wrong := range evaluate[[]string](t, ctx, accessible) {
				t.Errorf("%s: %s", l.name, wrong)
			}
			evaluate[bool](t, ctx, `document.querySelectorAll("details").forEach((d) => d.open = false); true`)
		}
	}
	for name, r := range map[string]*Report{"failed": failed(), "passed": passed(), "halted": halted(), "full": full()} {
		t.Run(name, func(t *testing.T) {
			var scenarios []Outcome
			if name == "full" {
				scenarios = outcomes()
			}
			opened(t, ctx, r, scenarios)
			inspect(t, name)
		})
	}
	for _, dir := range filepath.SplitList(os.Getenv("PAGES")) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			show(t, ctx, filepath.Join(dir, HTMLFile))
			inspect(t, filepath.Base(dir))
		})
	}
}

// keep keeps a picture of what is shown.
func (l look) keep(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+"-"+l.name+".png"), picture, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestPageIsUsedByKeyboard(t *testing.T) {
	ctx := browser(t)
	opened(t, ctx, full(), outcomes())
	// The first stop leads past the navigation; then all stops are in the page's order.
	const focus = `document.activeElement.textContent.trim()`
	press := func(keys string) {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.KeyEvent(keys)); err != nil {
			t.Fatal(err)
		}
	}
	press("\t")
	if got := evaluate[string](t, ctx, focus); got != "Skip to the report" {
		t.Fatalf("the first stop is %q", got)
	}
	for range 25 {
		before := evaluate[string](t, ctx, `(window.last = document.activeElement).tagName`)
		press("\t")
		if !evaluate[bool](t, ctx, `(window.last.compareDocumentPosition(document.activeElement) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0`) {
			t.Fatalf("the stop after %s comes before it", before)
		}
		if !evaluate[bool](t, ctx, `document.activeElement.matches(":focus-visible") && getComputedStyle(document.activeElement).outlineStyle === "solid"`) {
			t.Fatalf("it is not seen where the focus is: %s", evaluate[string](t, ctx, focus))
		}
	}
	// A finding is folded, and opened by the keyboard.
	evaluate[bool](t, ctx, `document.querySelector(".finding summary").focus(); true`)
	press("\r")
	if !evaluate[bool](t, ctx, `document.querySelector(".finding").open`) {
		t.Error("a finding does not open by the keyboard")
	}
}

func TestPageFindsAndOpens(t *testing.T) {
	ctx := browser(t)
	opened(t, ctx, full(), outcomes())
	visible := func(selector string) int {
		return evaluate[int](t, ctx, `[...document.querySelectorAll("`+selector+`")].filter((e) => e.checkVisibility()).length`)
	}
	all := visible(".finding")
	if open := evaluate[int](t, ctx, `document.querySelectorAll(".finding[open]").length`); open != 0 || all != len(full().Findings) {
		t.Errorf("%d findings, %d open: all are folded at first", all, open)
	}
	// A root cause leads to its finding, which opens.
	evaluate[bool](t, ctx, `document.querySelector(".explains a").click(); true`)
	if err := chromedp.Do(ctx, chromedp.WaitVisible(".finding[open] figure")); err != nil {
		t.Fatal(err)
	}
	input := func(id, text string) {
		evaluate[bool](t, ctx, `(() => { const i = document.getElementById("`+id+`"); i.value = "`+text+`"; i.dispatchEvent(new Event("input")); return true; })()`)
	}
	input("find", "ch.hit")
	if got := visible(".finding"); got != 1 {
		t.Errorf("a search for CH.hit shows %d findings", got)
	}
	input("find", "")
	evaluate[bool](t, ctx, `document.querySelector("[name=which][value=attention]").click(); true`)
	if got := visible(".finding"); got == 0 || got >= all {
		t.Errorf("what does not hold are %d of %d", got, all)
	}
	input("grep", "KERNEL")
	if got := evaluate[string](t, ctx, `document.querySelector(".log pre").textContent`); got != "<b>kernel</b>: nfsd started\n" {
		t.Errorf("the log shows %q", got)
	}
	if got := evaluate[string](t, ctx, `document.querySelector(".log mark").textContent`); got != "kernel" {
		t.Errorf("%q is marked", got)
	}
	// On paper what does not hold is open, and what does is not.
	evaluate[bool](t, ctx, `dispatchEvent(new Event("beforeprint")); true`)
	if !evaluate[bool](t, ctx, `[...document.querySelectorAll(".finding")].every((f) => f.open === ["broken", "error", "known"].includes(f.dataset.state))`) {
		t.Error("on paper the wrong findings are open")
	}
	paper, err := chromedp.Run(ctx, chromedp.PrintToPDF(chromedp.PDFPrintBackground()))
	if err != nil || len(paper) < 10_000 {
		t.Errorf("printing gives %d bytes, %v", len(paper), err)
	}
}
