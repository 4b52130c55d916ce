#pragma once

#include <cstdint>
#include <string>

#include "graft/recipe/recipe.h"

/// Scalars of the recipe language → numbers and back. YAML 1.2 core rules: `3e-4` is a number, `yes` is text. Each parser throws
/// ValueError with what is wrong and what to write; each formatter gives text that its parser reads back to the same value.
namespace graft::recipe {

int64_t parse_integer(const std::string& text);
/// An integer, or a number with k, M, B/G, T (powers of 1000) or Ki, Mi, Gi (powers of 1024): "50M", "4Ki".
int64_t parse_count(const std::string& text);
/// "22GiB", "512 MiB", "24GB", or plain bytes.
int64_t parse_bytes(const std::string& text);
/// Finite.
double parse_number(const std::string& text);
bool parse_bool(const std::string& text);
/// "500", "500 steps", "3%", "1 epoch", "0.5 epochs".
Frequency parse_frequency(const std::string& text);
/// "10%" or a number.
Share parse_share(const std::string& text);

/// The shortest decimal that reads back to the same double, in a form that YAML 1.1 readers take for a number too ("2.0e-04").
std::string format_number(double value);
std::string format_frequency(const Frequency& frequency);
std::string format_share(const Share& share);
/// As a YAML scalar: plain when no reader could take it for anything but this text, in double quotes otherwise.
std::string format_text(const std::string& text);

/// Whether a plain scalar looks like a number or a boolean (and so is not text).
bool looks_like_number(const std::string& text);
bool looks_like_bool(const std::string& text);

}  // namespace graft::recipe
