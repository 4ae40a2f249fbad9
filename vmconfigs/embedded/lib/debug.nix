# Looking at values while they are computed.
{ lib }:
let
  inherit (builtins)
    attrValues
    concatLists
    deepSeq
    elem
    isAttrs
    isList
    mapAttrs
    substring
    trace
    ;
  show = lib.generators.toPretty { allowPrettyValues = true; };
in
rec {
  inherit (builtins) addErrorContext trace unsafeGetAttrPos;

  traceIf =
    cond: message: value:
    if cond then trace message value else value;
  traceValFn = f: value: trace (f value) value;
  traceVal = traceValFn (x: x);
  traceSeq = shown: trace (deepSeq shown shown);
  traceSeqN =
    depth: shown:
    let
      ellipsis = text: val: {
        __pretty = _: text;
        inherit val;
      };
      cut =
        n: value:
        if isList value then
          (if n == 0 then ellipsis "[…]" value else map (cut (n - 1)) value)
        else if isAttrs value then
          (if n == 0 then ellipsis "{…}" value else mapAttrs (_: cut (n - 1)) value)
        else
          value;
    in
    trace (show (cut depth shown));
  traceValSeqFn = f: value: traceValFn f (deepSeq value value);
  traceValSeq = traceValSeqFn (x: x);
  traceValSeqNFn =
    f: depth: value:
    traceSeqN depth (f value) value;
  traceValSeqN = traceValSeqNFn (x: x);
  traceFnSeqN =
    depth: name: f: arg:
    let
      result = f arg;
    in
    traceSeqN (depth + 1) {
      fn = name;
      from = arg;
      to = result;
    } result;

  # tests: name (test…) -> { expr, expected }; the result lists those that fail.
  runTests =
    tests:
    let
      only = tests.tests or [ ];
      chosen = name: if only == [ ] then substring 0 4 name == "test" else elem name only;
    in
    concatLists (
      attrValues (
        mapAttrs (
          name: test:
          if chosen name && test.expr != test.expected then
            [
              {
                inherit name;
                inherit (test) expected;
                result = test.expr;
              }
            ]
          else
            [ ]
        ) tests
      )
    );
  throwTestFailures =
    {
      failures,
      description ? "tests",
      ...
    }:
    if failures == [ ] then
      null
    else
      throw "${toString (builtins.length failures)} ${description} failed:\n- ${
        lib.strings.concatMapStringsSep "\n- " (f: f.name) failures
      }\n\n${builtins.toJSON failures}";
  testAllTrue = expr: {
    inherit expr;
    expected = map (_: true) expr;
  };
}
