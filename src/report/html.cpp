#include "report/html.hpp"

#include <cmath>

#include <fmt/format.h>

#include "base/text.hpp"

namespace halftone::report {
namespace {

constexpr std::string_view kStyle = R"CSS(
:root{color-scheme:light dark;--ground:#fff;--panel:#f5f6f8;--ink:#1c2024;--quiet:#5b6470;--line:#d8dde3;--mark:#1f6feb;--other:#aab4c0;--error:#c4501b}
@media (prefers-color-scheme:dark){:root{--ground:#14171b;--panel:#1e2329;--ink:#e4e8ed;--quiet:#9aa5b1;--line:#343b44;--mark:#6cb0ff;--other:#59636f;--error:#f0955b}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2rem 1.5rem 4rem;max-width:76rem;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .3rem}
h2{font-size:1.15rem;margin:2.4rem 0 .6rem}
h3{font-size:1rem;margin:0 0 .4rem;overflow-wrap:anywhere}
p{margin:.3rem 0}
.quiet{color:var(--quiet)}
code{font:.86em/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere;unicode-bidi:isolate}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(14rem,1fr));gap:.8rem;margin:1.4rem 0 0}
.tile,.card{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem;break-inside:avoid}
.tile b{display:block;font-size:1.35rem;font-weight:600;line-height:1.3}
.tile span{color:var(--quiet);font-size:.86rem}
.card{margin:0 0 .9rem}
.card .plots{display:flex;flex-wrap:wrap;gap:1rem 2rem;margin:.6rem 0 0}
.advice{border-left:3px solid var(--error);padding:.1rem 0 .1rem .7rem;margin:.5rem 0}
figure{margin:0;break-inside:avoid}
figcaption{color:var(--quiet);font-size:.8rem;margin:0 0 .2rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.86rem}
th{text-align:left;color:var(--quiet);font-weight:500;vertical-align:bottom;border-bottom:1px solid var(--line);padding:.3rem .6rem .3rem 0}
td{border-bottom:1px solid var(--line);padding:.3rem .6rem .3rem 0;vertical-align:middle;font-variant-numeric:tabular-nums}
tr{break-inside:avoid}
th.n,td.n{text-align:right;white-space:nowrap}
td.name{min-width:13rem}td.f,.card td{white-space:nowrap}
.card table{width:auto;min-width:16rem}.plots .scroll{max-width:100%}
svg{display:block;max-width:100%;overflow:visible}
td svg{min-width:4rem}
svg text{fill:var(--quiet);font:10px system-ui,"DejaVu Sans",sans-serif}
.mark{fill:var(--mark)}.other{fill:var(--other)}.error{fill:var(--error)}.base{stroke:var(--line);stroke-width:1}
.key{display:inline-block;width:.75em;height:.75em;border-radius:2px;margin:0 .3em 0 .8em;vertical-align:-.05em}
.key.mark{background:var(--mark)}.key.other{background:var(--other)}.key.error{background:var(--error)}
@media screen and (max-width:40rem){body{padding:1.2rem 1rem 3rem}.tiles{grid-template-columns:1fr 1fr;gap:.6rem}.tile{padding:.6rem .7rem}.tile b{font-size:1.15rem}td.name{min-width:9rem}th,td{padding-right:.5rem}.card table{min-width:0;font-size:.78rem}}
@page{size:A4;margin:13mm}
@media print{:root{color-scheme:light;--ground:#fff;--panel:#fff;--ink:#000;--quiet:#444;--line:#bbb;--mark:#1f5fbf;--other:#b5bcc4;--error:#b04312}
body{max-width:none;padding:0;font-size:10pt}.scroll{overflow:visible}table{font-size:7.6pt}td.name{min-width:0}th,td{padding:.15rem .35rem .15rem 0}.tiles{grid-template-columns:repeat(4,1fr)}h2,h2+p{break-after:avoid}figure{flex:0 0 48mm;max-width:48mm}figure svg{width:48mm;height:auto}td svg{width:16mm;height:auto;min-width:0}figure svg text{font-size:12px}.card .plots{gap:.4rem 1rem;flex-wrap:nowrap}.card table{min-width:0}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}thead{display:table-header-group}}
)CSS";

/// Length of a character of UTF-8 at `at` that turns the direction of writing or is not seen; 0 for any other.
std::size_t unseen_at(std::string_view text, std::size_t at) {
  if (at + 3 > text.size() || text[at] != '\xE2') return 0;
  const auto second = static_cast<unsigned char>(text[at + 1]);
  const auto third = static_cast<unsigned char>(text[at + 2]);
  // U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F.
  const bool is_unseen = (second == 0x80 && ((third >= 0x8B && third <= 0x8F) || (third >= 0xA8 && third <= 0xAE))) ||
                         (second == 0x81 && third >= 0xA0 && third <= 0xAF);
  return is_unseen ? 3 : 0;
}

}  // namespace

std::string escape(std::string_view text) {
  const std::string safe = base::printable(text);
  std::string html;
  for (std::size_t at = 0; at < safe.size(); ++at) {
    if (const std::size_t n = unseen_at(safe, at); n != 0) {
      const unsigned value = 0x2000U | (static_cast<unsigned>(safe[at + 1]) & 0x3FU) << 6U | (static_cast<unsigned>(safe[at + 2]) & 0x3FU);
      html += fmt::format("\\u{:04x}", value);
      at += n - 1;
      continue;
    }
    switch (safe[at]) {
      case '&': html += "&amp;"; break;
      case '<': html += "&lt;"; break;
      case '>': html += "&gt;"; break;
      case '"': html += "&quot;"; break;
      case '\'': html += "&#39;"; break;
      default: html += safe[at];
    }
  }
  return html;
}

std::string code(std::string_view name) {
  const std::string text = escape(name);
  std::string broken;
  for (const char c : text) {
    broken += c;
    if (c == '.' || c == '/' || c == '_') broken += "<wbr>";
  }
  return fmt::format("<code>{}</code>", broken);
}

std::string page(std::string_view title, std::string_view body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>{}</style>\n</head>\n"
      "<body>\n{}</body>\n</html>\n",
      escape(title), kStyle, body);
}

std::string decibels(double value) {
  if (std::isnan(value)) return "–";
  return std::isinf(value) ? (value > 0 ? "exact" : "–") : fmt::format("{:.1f}", value);
}

std::string with_unit(double db) { return std::isfinite(db) ? decibels(db) + " dB" : decibels(db); }

std::string figure_of(double value, int digits) { return std::isfinite(value) ? fmt::format("{:.{}g}", value, digits) : "–"; }

std::string percent(double share) {
  if (!std::isfinite(share)) return "–";
  const double value = 100 * share;
  return value == 0 ? "0 %" : value < 0.001 ? fmt::format("{:.1e} %", value) : fmt::format("{:.{}f} %", value, value < 1 ? 3 : 2);
}

}  // namespace halftone::report
