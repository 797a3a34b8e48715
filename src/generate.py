"""The Cython of the formulas in fastbp/formula, for setup.py: build/kernels/formula.pxi.

Each formula becomes an inline function of C numbers, then a kernel: a loop of src/kernel with that
function in it.  `find_activation`, `find_loss` and `find_step` give the kernels by name.
"""

import ast
from pathlib import Path

FORMULA = Path("fastbp/formula")
KINDS = ("activation", "loss", "optimizer")
# Losses that most training is about: their loop reads outputs where they lie, few rows have code of
# their own.  The others go by way of copies (element_loss.pxi).
INLINED_LOSSES = ("mse", "half_sse", "mae", "huber", "binary_cross_entropy")
# Activations whose loops read where they write; the others go by way of copies.
PLAIN_ACTIVATIONS = (
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "sigmoid",
)  # fmt: skip
# Optimizers with a loop without penalties beside that with them; in the one loop of the others
# penalties may be 0.
PLAIN_STEPS = ("sgd", "momentum", "nesterov", "adam")


def formula_source():
    """The text of formula.pxi."""
    parts = ["# Written by src/generate.py from fastbp/formula."]
    for kind, kernels in zip(KINDS, (activation_kernels, loss_kernels, step_kernels), strict=True):
        module = ast.parse((FORMULA / f"{kind}.py").read_text())
        functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
        parts += [constant(node) for node in module.body if isinstance(node, ast.Assign)]
        parts += [inline_function(function) for function in functions.values()]
        parts += kernels(functions)
    return "\n\n".join(parts) + "\n"


# functions


class ToCython(ast.NodeTransformer):
    """The body of a formula: its literals are of the formula's type, its locals declared before."""

    def __init__(self, kind):
        self.kind = kind
        self.declared = []

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            return node
        return ast.Name(f"<{self.kind}>{node.value!r}")

    def visit_AnnAssign(self, node):
        if node.value is None:
            raise SyntaxError(f"{ast.unparse(node)}: a local of a formula gets its value at once")
        self.declared.append(f"cdef {ast.unparse(node.annotation)} {ast.unparse(node.target)}")
        return ast.copy_location(ast.Assign([node.target], self.visit(node.value)), node)


def inline_function(function):
    kind = ast.unparse(function.args.args[0].annotation)
    body = ToCython(kind)
    statements = [ast.unparse(body.visit(statement)) for statement in function.body]
    arguments = ", ".join(f"{kind} {name}" for name in names(function))
    lines = body.declared + statements
    return (
        f"cdef inline {result_type(function)} {function.name}({arguments}) noexcept nogil:\n"
        + indented("\n".join(lines))
    )


def constant(node):
    """A macro: a variable of the module would be read again in every turn of a loop."""
    (target,) = node.targets
    if not isinstance(node.value, ast.Constant):
        raise SyntaxError(f"{target.id}: a constant of the formulas is a plain positive number")
    return f'''cdef extern from *:
    """
    #define {target.id} ((real){node.value.value!r})
    """
    const real {target.id}'''


def names(function):
    return [argument.arg for argument in function.args.args]


def n_results(function):
    is_tuple = isinstance(function.returns, ast.Subscript)
    return len(function.returns.slice.elts) if is_tuple else 1


def result_type(function):
    """real, or (real, real) for tuple[real, real]"""
    return ast.unparse(function.returns).replace("tuple[", "(").replace("]", ")")


def indented(text):
    return "\n".join("    " + line for line in text.splitlines())


def finder(kind, result, found):
    """A function that gives the kernels of a name, and the names."""
    lines = [f"cdef tuple {kind.upper()}_FORMULAS = {tuple(found)!r}\n\n"]
    lines.append(f"cdef {result} {kind}_formula(str name) except *:")
    lines.append(f"    cdef {result} found")
    for name, assignments in found.items():
        lines.append(f"    if name == {name!r}:")
        lines += [f"        found.{left} = {right}" for left, right in assignments.items()]
        lines.append("        return found")
    lines.append(f"    raise unknown({kind!r}, name)")
    return "\n".join(lines)


# kernels


def activation_kernels(functions):
    parts, found = [], {}
    for name in [name for name in functions if not name.endswith(("_backward", "_slope"))]:
        way = "run" if name in PLAIN_ACTIVATIONS else "blocks"
        parts.append(f"""\
cdef inline real {name}_of(real z, real alpha) noexcept nogil:
    return {name}({", ".join(names(functions[name]))})


cdef void {name}_run(real alpha, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, real* z,
                     real* a) noexcept nogil:
    forward_{way}({name}_of, alpha, rows * ld, z, a)""")
        if f"{name}_slope" in functions:
            parts.append(f"""\
cdef inline real {name}_slope_of(real z, real alpha) noexcept nogil:
    return {name}_slope({", ".join(names(functions[f"{name}_slope"]))})


cdef void {name}_slope_run(real alpha, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld, real* z,
                           real* a) noexcept nogil:
    slope_{way}({name}_of, {name}_slope_of, alpha, rows * ld, z, a)""")
            own = {"forward_keeping": f"{name}_slope_run", "backward": "kept_backward"}
        else:
            parts.append(f"""\
cdef inline real {name}_backward_of(real d, real a, real alpha) noexcept nogil:
    return {name}_backward({", ".join(names(functions[f"{name}_backward"]))})


cdef void {name}_backward_run(real alpha, Py_ssize_t rows, Py_ssize_t n, Py_ssize_t ld,
                              const real* slope, const real* a, real* d) noexcept nogil:
    backward_run({name}_backward_of, alpha, rows * ld, a, d)""")
            own = {"forward_keeping": "NULL", "backward": f"{name}_backward_run"}
        found[name] = {"forward": f"{name}_run", **own}
    return [*parts, finder("activation", "Activation", found)]


def loss_kernels(functions):
    parts, found = [], {}
    for name, function in functions.items():
        if name not in INLINED_LOSSES:
            own, found[name] = element_loss(name, function)
            parts.append(own)
            continue
        arguments = ["out", "target", *(f"p.at[{i}]" for i in range(len(names(function)) - 2))]
        parts.append(f"""\
cdef inline pair {name}_of(real out, real target, Parameters p) noexcept nogil:
    return {name}({", ".join(arguments)})


cdef void {name}_piece(const Parameters* p, real scale, Py_ssize_t count, in_array out,
                       out_array value, out_array d) noexcept nogil:
    loss_piece({name}_of, p[0], scale, count, out, value, d)


cdef double {name}_rows(LossRows* rows) noexcept nogil:
    return loss_run({name}_of, {name}_piece, rows)


cdef double {name}_lanes(LossRows* rows) noexcept nogil:
    return lane_loss_run({name}_piece, rows)


cdef vfour {name}_four(const Parameters* p, real scale, Py_ssize_t n, vfour out, const real* y,
                       Py_ssize_t y_column, double* loss) noexcept nogil:
    return four_loss({name}_of, p, scale, n, out, y, y_column, loss)""")
        found[name] = {
            "rows": f"{name}_rows", "lanes": f"{name}_lanes", "four": f"{name}_four",
            "n_parameters": len(arguments) - 2, "has_column": False,
        }  # fmt: skip
    return [*parts, finder("loss", "LossKernel", found)]


def element_loss(name, function):
    """A loop over whole blocks, for element_loss.pxi, and what `find_loss` gives for it."""
    takes = [ast.unparse(argument.annotation) for argument in function.args.args[2:]]
    if "column" in takes[:-1]:
        raise SyntaxError(f"{name}: the column is the last argument")
    has_column = takes[-1:] == ["column"]
    is_pair = n_results(function) == 3
    n_parameters = len(takes) - has_column
    arguments = ["out[i]", "target[i]", *(f"p{i}" for i in range(n_parameters))]
    arguments += ["column[i]"] if has_column else []
    declared = "".join(f"\n    cdef real p{i} = p.at[{i}]" for i in range(n_parameters))
    second = "\n            second[i] = found[2]" if is_pair else ""
    text = f"""\
cdef void {name}_elements(const Parameters* p, Py_ssize_t n, in_array out, in_array target,
                          in_array column, out_array value, out_array slope,
                          out_array second) noexcept nogil:
    cdef Py_ssize_t block, i{declared}
    cdef {result_type(function)} found
    for block in range(n // BLOCK):
        for i in range(block * BLOCK, block * BLOCK + BLOCK):
            found = {name}({", ".join(arguments)})
            value[i] = found[0]
            slope[i] = found[1]{second}


cdef double {name}_rows(LossRows* rows) noexcept nogil:
    return element_rows({name}_elements, {is_pair}, rows)


cdef double {name}_lanes(LossRows* rows) noexcept nogil:
    return element_lanes({name}_elements, {is_pair}, rows)"""
    return text, {
        "rows": f"{name}_rows", "lanes": f"{name}_lanes", "four": "NULL",
        "n_parameters": n_parameters, "has_column": has_column and not is_pair,
    }  # fmt: skip


def step_kernels(functions):
    parts, found = [], {}
    for name in [name for name in functions if not name.endswith("_scalars")]:
        n_slots = n_results(functions[name]) - 1
        scalars = names(functions[name])[2 + n_slots :]
        numbers, powers, fill = scalar_filler(functions, name, scalars)
        parts += [scalar_struct(name, scalars), fill, step_loop(functions[name], n_slots, scalars)]
        found[name] = {
            "step": f"{name}_step", "scalars": f"fill_{name}_scalars", "n_slots": n_slots,
            "n_scalars": len(scalars), "n_numbers": numbers, "n_powers": powers,
        }  # fmt: skip
    return [*parts, finder("optimizer", "StepKernel", found)]


def scalar_struct(name, scalars):
    """The scalars by name, for kernels written by hand."""
    return "\n".join([f"cdef struct {name}_scalar:", *(f"    real {scalar}" for scalar in scalars)])


def scalar_filler(functions, name, scalars):
    """How many numbers and powers the scalars are made of, and the function that does it."""
    if f"{name}_scalars" in functions:
        given = names(functions[f"{name}_scalars"])
        powers = [argument for argument in given if argument.endswith("_power")]
        numbers = [argument for argument in given if argument not in powers]
        values = [f"number[{i}]" for i in range(len(numbers))]
        values += [f"power[{i}]" for i in range(len(powers))]
        lines = [f"found = {name}_scalars({', '.join(values)})"]
        lines.insert(0, f"cdef {result_type(functions[f'{name}_scalars'])} found")
        source = "found"
    else:
        numbers, powers, lines, source = scalars, [], [], "number"
    lines += [f"scalar[{i}] = <real>{source}[{i}]" for i in range(len(scalars))]
    head = f"cdef void fill_{name}_scalars(const double* number, const double* power, real* scalar)"
    return len(numbers), len(powers), f"{head} noexcept nogil:\n" + indented("\n".join(lines))


def step_loop(function, n_slots, scalars):
    """The loop over blocks, and the kernel that calls it with and without penalties."""
    name, slots = function.name, [f"slot{i}" for i in range(n_slots)]
    results = ["w", *slots]
    loop = [f"cdef {result_type(function)} found", "cdef Py_ssize_t block, i"]
    loop.append("cdef real gradient, l1 = u.l1, l2 = u.l2")
    for i, scalar in enumerate(scalars):
        value = f"u.scalar[{i}] if u.decays else <real>0" if scalar == "decay" else f"u.scalar[{i}]"
        loop.append(f"cdef real scalar{i} = {value}")
    arguments = ["w[i]", "gradient", *(f"{slot}[i]" for slot in slots)]
    arguments += [f"scalar{i}" for i in range(len(scalars))]
    part = "[{}]" if n_slots else ""
    loop.append(f"""\
for block in range(u.n // BLOCK):
    for i in range(block * BLOCK, block * BLOCK + BLOCK):
        gradient = g[i] if is_plain else penalised(g[i], w[i], l1, l2)
        found = {name}({", ".join(arguments)})""")
    loop += [f"        {to}[i] = found{part.format(k)}" for k, to in enumerate(results)]
    own = "".join(f", out_array {slot}" for slot in slots)
    given = "".join(f", u.state + {k} * u.stride" for k in range(n_slots))
    choice = f"""
    if u.l1 == 0 and u.l2 == 0:
        {name}_loop(u, True, u.w, u.g{given})
    else:
        {name}_loop(u, False, u.w, u.g{given})"""
    call = (
        choice
        if name in PLAIN_STEPS
        else f"""
    {name}_loop(u, False, u.w, u.g{given})"""
    )
    return f"""\
cdef inline void {name}_loop(Update* u, const bint is_plain, out_array w,
                             in_array g{own}) noexcept nogil:
{indented(chr(10).join(loop))}


cdef void {name}_step(Update* u) noexcept nogil:{call}"""
