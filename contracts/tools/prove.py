"""Runs halmos, the symbolic prover, with what its release 0.3.3 lacks. Arguments are halmos's own.

Two things. Its SHA-256 takes a number of bytes for one of bits and fails on any hash. And it leaves products and
quotients of unknowns undefined at first, and its solver, yices, gives up on many that are defined: here they are
defined at once, each query goes to cvc5 (words as integers) and bitwuzla, too, and whoever first knows is right.
"""

import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SHA256 = "f_sha256_"
POLL_S = 0.01
#: What halmos leaves undefined, and what it is: on the EVM a quotient by zero is zero.
UNDEFINED = re.compile(
    r"\(declare-fun (f_evm_(bv\w+?)_(\d+)) \(\(_ BitVec \3\) \(_ BitVec \3\)\) \(_ BitVec \3\)\)"
)
WORDS = r"(define-fun \1 ((x (_ BitVec \3)) (y (_ BitVec \3))) (_ BitVec \3) "
PRODUCT = WORDS + r"(\2 x y))"
QUOTIENT = WORDS + r"(ite (= y (_ bv0 \3)) (_ bv0 \3) (\2 x y)))"
ME = [sys.executable, str(Path(__file__).resolve())]


def solve(path: str) -> None:
    """cvc5's answer to one query in SMT-LIB, as its own command would write it."""
    import cvc5

    solver = cvc5.Solver(cvc5.TermManager())
    solver.setOption("solve-bv-as-int", "sum")
    solver.setOption("produce-models", "true")
    parser = cvc5.InputParser(solver)
    parser.setFileInput(cvc5.InputLanguage.SMT_LIB_2_6, path)
    while not (command := parser.nextCommand()).isNull():
        sys.stdout.write(command.invoke(solver, parser.getSymbolManager()))


def solve_by_bits(path: str) -> None:
    """The same by bitwuzla, which knows products of words better than yices does."""
    import bitwuzla

    options = bitwuzla.Options()
    options.set(bitwuzla.Option.PRODUCE_MODELS, True)
    bitwuzla.Parser(bitwuzla.TermManager(), options).parse(path)


def race(path: str) -> None:
    """The answer of whichever solver has one first. halmos ends both when its limit is over."""
    defined = Path(path).with_suffix(".defined.smt2")
    text = UNDEFINED.sub(
        lambda found: found.expand(PRODUCT if found[2] == "bvmul" else QUOTIENT),
        Path(path).read_text("utf-8"),
    )
    defined.write_text(text, "utf-8")
    path = str(defined)
    yices = shutil.which("yices-smt2", path=str(Path(sys.executable).parent)) or "yices-smt2"
    commands = [[yices, "--smt2-model-format", path], [*ME, "--cvc5", path], [*ME, "--bitwuzla", path]]
    running = [subprocess.Popen(one, stdout=subprocess.PIPE, text=True) for one in commands]
    while running:
        for one in [one for one in running if one.poll() is not None]:
            running.remove(one)
            answer = one.stdout.read() if one.stdout else ""
            if answer.startswith(("sat", "unsat")):
                sys.stdout.write(answer)
                for other in running:
                    other.kill()
                return
        time.sleep(POLL_S)
    sys.stdout.write("unknown\n")


def prove(arguments: list[str]) -> int:
    """halmos's exit code: 0 if every check holds."""
    from halmos import sevm
    from halmos.__main__ import main
    from z3 import BitVecSort

    plain = sevm.Function

    def function(name: str, *sorts: Any) -> Any:
        if name.startswith(SHA256):
            sorts = (BitVecSort(8 * int(name.removeprefix(SHA256))), sorts[-1])
        return plain(name, *sorts)

    sevm.Function = function
    sys.argv = ["halmos", *arguments, "--solver-command", shlex.join([*ME, "--race"])]
    return int(main())


if __name__ == "__main__":
    match sys.argv[1:2]:
        case ["--cvc5"]:
            solve(sys.argv[2])
        case ["--bitwuzla"]:
            solve_by_bits(sys.argv[2])
        case ["--race"]:
            race(sys.argv[2])
        case _:
            sys.exit(prove(sys.argv[1:]))
