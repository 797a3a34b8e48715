"""The Cython of the formulas differentiated along a direction, for setup.py:
build/kernels/tangent_formula.pxi.

Of an argument x that moves, x_dot is its derivative along the direction.  Each step of a formula
becomes a number and the tangent of it, by the rules of fastbp/backend/numpy/dual.py; what does not
move has no tangent.  `activation_tangent` and `loss_tangent` give the kernels by the place of a
name in ACTIVATION_FORMULAS and LOSS_FORMULAS.
"""

import ast

from generate import FORMULA, n_results, names

# The derivative of f(x), from x and y = f(x).
SLOPES = {
    "real_exp": "{y}",
    "real_log": "<real>1 / {x}",
    "real_log1p": "<real>1 / (<real>1 + {x})",
    "real_sqrt": "<real>0.5 / {y}",
    "real_tanh": "<real>1 - {y} * {y}",
    "real_sigmoid": "{y} * real_sigmoid(-{x})",
    "real_softplus": "real_sigmoid({x})",
    "real_expm1_below": "real_select({x} < 0, {y} + <real>1, <real>0)",
    "real_abs": "real_sign({x})",
    "real_sign": "<real>0",
    "real_positive": "real_select({x} > REAL_SMALLEST, <real>1, <real>0)",
    "real_normal_cdf": "real_normal_pdf({x})",
    "real_normal_pdf": "-{x} * {y}",
}
OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
ZERO = "<real>0"


class Tangent:
    """The lines of a formula and of its tangent; a term is its number and, where it moves, the
    tangent of that.
    """

    def __init__(self, moving):
        self.lines, self.known, self.n = [], {name: (name, f"{name}_dot") for name in moving}, 0

    def named(self, number, tangent):
        """A term under a name of its own."""
        name, self.n = f"t{self.n}", self.n + 1
        self.lines.append(f"cdef real {name} = {number}")
        if tangent is None:
            return name, None
        self.lines.append(f"cdef real {name}_dot = {tangent.format(y=name)}")
        return name, f"{name}_dot"

    def term(self, node):
        kind = type(node).__name__
        if not hasattr(self, kind):
            raise SyntaxError(f"{ast.unparse(node)}: nothing that can be differentiated here")
        return getattr(self, kind)(node)

    def Constant(self, node):
        return f"<real>{node.value!r}", None

    def Name(self, node):
        return self.known.get(node.id, (node.id, None))

    def UnaryOp(self, node):
        x, x_dot = self.term(node.operand)
        return self.named(f"-{x}", x_dot and f"-{x_dot}")

    def BinOp(self, node):
        sign = OPERATORS.get(type(node.op))
        if sign is None:
            raise SyntaxError(f"{ast.unparse(node)}: no rule says what its derivative is")
        (x, x_dot), (y, y_dot) = self.term(node.left), self.term(node.right)
        if sign in "+-":
            both = f"{x_dot} {sign} {y_dot}" if x_dot and y_dot else x_dot
            tangent = both or y_dot and (y_dot if sign == "+" else f"-{y_dot}")
        elif sign == "*":
            parts = [f"{a} * {b}" for a, b in ((x_dot, y), (x, y_dot)) if a and b]
            tangent = " + ".join(parts) or None
        elif y_dot:
            tangent = f"({x_dot or ZERO} - {{y}} * {y_dot}) / {y}"
        else:
            tangent = x_dot and f"{x_dot} / {y}"
        return self.named(f"{x} {sign} {y}", tangent)

    def Call(self, node):
        name = node.func.id
        if name == "real_select":
            return self.chosen(self.condition(node.args[0]), *map(self.term, node.args[1:]))
        terms = [self.term(argument) for argument in node.args]
        values = [value for value, _ in terms]
        call = f"{name}({', '.join(values)})"
        if all(tangent is None for _, tangent in terms):
            return self.named(call, None)
        if name in ("real_max", "real_min"):
            sign = ">" if name == "real_max" else "<"
            return self.chosen(f"{values[0]} {sign} {values[1]}", *terms, value=call)
        if name not in SLOPES:
            raise SyntaxError(f"{name}: no rule says what its derivative is")
        slope = SLOPES[name].format(x=values[0], y="{y}")
        return self.named(call, f"({slope}) * {terms[0][1]}")

    def condition(self, node):
        (operator,), (right,) = node.ops, node.comparators
        left = self.term(node.left)[0]
        return f"{left} {COMPARISONS[type(operator)]} {self.term(right)[0]}"

    def chosen(self, condition, first, second, value=None):
        """The tangent is that of the side which the condition takes."""
        tangent = None
        if first[1] or second[1]:
            tangent = f"real_select({condition}, {first[1] or ZERO}, {second[1] or ZERO})"
        return self.named(value or f"real_select({condition}, {first[0]}, {second[0]})", tangent)

    def body(self, statements):
        """All statements; returns the terms of the results."""
        for statement in statements:
            if isinstance(statement, ast.AnnAssign):
                self.known[statement.target.id] = self.term(statement.value)
            elif isinstance(statement, ast.Return):
                value = statement.value
                return [self.term(e) for e in getattr(value, "elts", [value])]
        raise SyntaxError("a formula ends in its results")


def tangent_source():
    """The text of tangent_formula.pxi."""
    parts = ["# Written by src/differentiate.py from fastbp/formula."]
    for kind, kernel in (("activation", activation_kernel), ("loss", loss_kernel)):
        module = ast.parse((FORMULA / f"{kind}.py").read_text())
        functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
        of = [name for name in functions if not name.endswith(("_backward", "_slope"))]
        parts += [kernel(name, functions) for name in of]
        lines = [f"cdef {kind}_tangent_kernel {kind}_tangent(int place) noexcept:"]
        for i, name in enumerate(of):
            lines += [f"    if place == {i}:", f"        return {name}_tangent_run"]
        parts.append("\n".join([*lines, "    return NULL"]))
    pairs = tuple(name for name in of if n_results(functions[name]) == 3)
    parts.append(f"cdef tuple PAIR_LOSSES = {pairs!r}")
    return "\n\n\n".join(parts) + "\n"


def tangent_function(function, moving, first=0):
    """An inline function of the arguments, and of the tangents of those that move: of the results
    from `first` on, each and its tangent.
    """
    own = Tangent(moving)
    results = own.body(function.body)[first:]
    kinds = ", ".join(["real"] * 2 * len(results))
    arguments = ", ".join(
        f"real {name}, real {name}_dot" if name in moving else f"real {name}"
        for name in names(function)
    )
    given = ", ".join(f"{value}, {tangent or ZERO}" for value, tangent in results)
    head = f"cdef inline ({kinds}) {function.name}_tangent({arguments}) noexcept nogil:"
    return "\n    ".join([head, *own.lines, f"return {given}"])


def activation_kernel(name, functions):
    """A loop over whole blocks, for src/kernel/tangent.pxi."""
    slope, own = functions.get(f"{name}_slope"), names(functions[name])[1:]
    if slope:
        text = tangent_function(slope, ["z"])
        call = f"{name}_slope_tangent({', '.join(['x[i]', 'x_dot[i]', *own])})"
        value = f"{name}({', '.join(['x[i]', *own])})"
        lines = [
            f"y[i] = {value}", f"found = {call}", "y_dot[i] = found[0] * x_dot[i]",
            "x[i] = found[0]", "x_dot[i] = found[1]",
        ]  # fmt: skip
    else:
        backward = functions[f"{name}_backward"]
        places = {"d": "y[i], y_dot[i]", "a": "x[i], x_dot[i]", "alpha": "alpha"}
        text = tangent_function(backward, ["d", "a"])
        taken = ", ".join(places[argument] for argument in names(backward))
        lines = [
            f"found = {name}_backward_tangent({taken})", "y[i] = found[0]", "y_dot[i] = found[1]",
        ]  # fmt: skip
    loop = "\n            ".join(lines)
    return f"""\
{text}


cdef void {name}_tangent_run(real alpha, Py_ssize_t n, out_array x, out_array x_dot, out_array y,
                             out_array y_dot) noexcept nogil:
    cdef Py_ssize_t block, i
    cdef (real, real) found
    for block in range(n // BLOCK):
        for i in range(block * BLOCK, block * BLOCK + BLOCK):
            {loop}"""


def loss_kernel(name, functions):
    """A loop over whole blocks of a piece, for src/kernel/tangent.pxi; of the slopes alone."""
    function, is_pair = functions[name], n_results(functions[name]) == 3
    takes = [ast.unparse(argument.annotation) for argument in function.args.args[2:]]
    given = ["x.out[i]", "x.out_dot[i]", "x.target[i]"]
    given += [f"p.at[{i}]" for i in range(takes.count("real"))]
    if "column" in takes:
        given += ["x.column[i]", "x.column_dot[i]"] if is_pair else ["x.column[i]"]
    to = ["slope", "slope_dot", "second", "second_dot"][: 4 if is_pair else 2]
    loop = "\n            ".join(f"x.{part}[i] = found[{k}]" for k, part in enumerate(to))
    return f"""\
{tangent_function(function, ["out", *names(function)[-1:]] if is_pair else ["out"], first=1)}


cdef void {name}_tangent_run(const Parameters* p, Py_ssize_t n, TangentPiece* x) noexcept nogil:
    cdef Py_ssize_t block, i
    cdef ({", ".join(["real"] * len(to))}) found
    for block in range(n // BLOCK):
        for i in range(block * BLOCK, block * BLOCK + BLOCK):
            found = {name}_tangent({", ".join(given)})
            {loop}"""
