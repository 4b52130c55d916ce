#pragma once

#include "graft/text/jinja/ast.h"

namespace graft::text::jinja {

/// Fills in Statement::hidden, Statement::hidden_otherwise and Template::hidden by jinja2's rule (jinja2/idtracking.py): a name that a
/// scope certainly assigns, and that is not read in the scope itself before, belongs to the scope from its beginning. Until the assignment
/// is reached, whatever is nested in the scope sees it undefined, even if the template's caller passes a variable of that name.
void find_hidden_names(Template* source);

}  // namespace graft::text::jinja
