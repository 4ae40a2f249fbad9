# Edit distance, for "Did you mean".
{ lib }:
let
  inherit (builtins)
    elemAt
    foldl'
    genList
    length
    stringLength
    substring
    ;
  inherit (lib.trivial) max min;

  # Length of what a and b have in common; `at` gives the n-th character to
  # compare of a text.
  common =
    at: a: b:
    let
      end = min (stringLength a) (stringLength b);
      from = n: if n < end && at n a == at n b then from (n + 1) else n;
    in
    from 0;
in
rec {
  commonPrefixLength = common (n: text: substring n 1 text);
  commonSuffixLength = common (n: text: substring (stringLength text - 1 - n) 1 text);

  # Row by row: row i holds the distance of the first i characters of a to
  # every beginning of b.
  levenshtein =
    a: b:
    let
      columns = genList (n: n) (stringLength b);
      nextRow =
        row: i:
        foldl' (
          done: j:
          let
            change = if substring i 1 a == substring j 1 b then 0 else 1;
            best = min (min (elemAt done j + 1) (elemAt row (j + 1) + 1)) (elemAt row j + change);
          in
          builtins.seq best (done ++ [ best ])
        ) [ (i + 1) ] columns;
      rows = foldl' nextRow (genList (n: n) (stringLength b + 1)) (genList (n: n) (stringLength a));
    in
    elemAt rows (length rows - 1);

  # Is the distance at most `limit`? Cheap where it is far more.
  levenshteinAtMost =
    limit: a: b:
    let
      lengthA = stringLength a;
      lengthB = stringLength b;
      start = commonPrefixLength a b;
      end = min (commonSuffixLength a b) (min lengthA lengthB - start);
      middle = text: substring start (stringLength text - start - end) text;
      a' = middle a;
      b' = middle b;
    in
    if limit <= 0 then
      a == b
    else
      max lengthA lengthB - min lengthA lengthB <= limit
      # Each edit at the ends of the differing parts is one of `limit`; long
      # differing parts may still have a common middle.
      && (max (stringLength a') (stringLength b') <= limit || levenshtein a' b' <= limit);
}
