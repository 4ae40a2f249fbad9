# Lists.
{ lib }:
let
  inherit (builtins)
    any
    concatMap
    elem
    elemAt
    filter
    genList
    head
    length
    tail
    ;
  inherit (lib.trivial) min max;

  # `count` elements from `start`, as far as there are any.
  slice =
    start: count: list:
    let
      left = length list - start;
    in
    genList (n: elemAt list (start + n)) (max 0 (min count left));

  # Depth first search along `before`, for toposort: the first element that
  # nothing else is before, or the cycle that was met.
  search =
    stopOnCycles: before:
    let
      from =
        current: seen: rest:
        let
          loops = filter (x: before x current) seen;
          earlier = builtins.partition (x: before x current) rest;
        in
        if stopOnCycles && loops != [ ] then
          {
            cycle = current;
            inherit loops rest;
            visited = seen;
          }
        else if earlier.right == [ ] then
          {
            minimal = current;
            inherit rest;
            visited = seen;
          }
        else
          from (head earlier.right) ([ current ] ++ seen) (tail earlier.right ++ earlier.wrong);
    in
    list: from (head list) [ ] (tail list);
in
rec {
  inherit (builtins)
    all
    any
    concatLists
    concatMap
    elem
    elemAt
    filter
    genList
    groupBy
    head
    isList
    length
    map
    partition
    sort
    tail
    ;

  singleton = x: [ x ];
  toList = x: if builtins.isList x then x else [ x ];
  forEach = list: f: map f list;
  optional = cond: x: if cond then [ x ] else [ ];
  optionals = cond: list: if cond then list else [ ];
  range = first: last: genList (n: first + n) (max 0 (last - first + 1));
  replicate = n: x: genList (_: x) n;

  foldr =
    f: nul: list:
    let
      end = length list;
      from = n: if n == end then nul else f (elemAt list n) (from (n + 1));
    in
    from 0;
  fold = lib.trivial.warn "fold has been deprecated, use foldr instead" foldr;
  # Lazy in the accumulator, unlike foldl'.
  foldl =
    f: nul: list:
    let
      upTo = n: if n == 0 then nul else f (upTo (n - 1)) (elemAt list (n - 1));
    in
    upTo (length list);
  foldl' = f: nul: builtins.seq nul (builtins.foldl' f nul);

  imap0 = f: list: genList (n: f n (elemAt list n)) (length list);
  imap1 = f: list: genList (n: f (n + 1) (elemAt list n)) (length list);
  ifilter0 =
    keep: list:
    map (elemAt list) (filter (n: keep n (elemAt list n)) (genList (n: n) (length list)));
  flatten = x: if builtins.isList x then concatMap flatten x else [ x ];
  remove = x: filter (y: y != x);
  count = pred: list: length (filter pred list);

  findSingle =
    pred: none: multiple: list:
    let
      found = filter pred list;
    in
    if found == [ ] then
      none
    else if length found == 1 then
      head found
    else
      multiple;
  # A fold, not a recursion: long lists must not exhaust the stack. No element
  # after the one found is looked at.
  findFirstIndex =
    pred: default: list:
    let
      # Below 0: not found yet, the next index is -1 - state.
      state = builtins.foldl' (
        state: x:
        if state >= 0 then
          state
        else if pred x then
          -1 - state
        else
          state - 1
      ) (-1) list;
    in
    if state < 0 then default else state;
  findFirst =
    pred: default: list:
    let
      index = findFirstIndex pred null list;
    in
    if index == null then default else elemAt list index;

  groupBy' =
    f: nul: key: list:
    builtins.mapAttrs (_: foldl f nul) (builtins.groupBy key list);
  zipListsWith =
    f: a: b:
    genList (n: f (elemAt a n) (elemAt b n)) (min (length a) (length b));
  zipLists = zipListsWith (fst: snd: { inherit fst snd; });
  reverseList =
    list:
    let
      end = length list - 1;
    in
    genList (n: elemAt list (end - n)) (end + 1);

  listDfs = search;
  toposort =
    before: list:
    if length list < 2 then
      { result = list; }
    else
      let
        found = search true before list;
        others = toposort before (found.visited ++ found.rest);
      in
      if found ? cycle then
        {
          cycle = reverseList found.visited ++ [ found.cycle ];
          inherit (found) loops;
        }
      else if others ? cycle then
        others
      else
        { result = [ found.minimal ] ++ others.result; };

  sortOn =
    key: list:
    map (pair: pair.value) (
      builtins.sort (a: b: a.key < b.key) (
        map (value: {
          inherit value;
          key = key value;
        }) list
      )
    );
  compareLists =
    compare: a: b:
    if a == [ ] || b == [ ] then
      (if a == b then 0 else if a == [ ] then -1 else 1)
    else
      let
        here = compare (head a) (head b);
      in
      if here != 0 then here else compareLists compare (tail a) (tail b);
  # Numbers inside of the strings count as numbers.
  naturalSort =
    list:
    let
      key =
        text:
        map (part: if builtins.isList part then builtins.fromJSON (head part) else part) (
          builtins.split "(0|[1-9][0-9]*)" text
        );
      keyed = map (value: {
        inherit value;
        key = key value;
      }) list;
    in
    map (x: x.value) (
      builtins.sort (a: b: compareLists lib.trivial.compare a.key b.key < 0) keyed
    );

  take = slice 0;
  takeEnd = n: list: slice (max 0 (length list - max 0 n)) (max 0 n) list;
  drop = n: list: slice n (length list) list;
  dropEnd = n: list: slice 0 (length list - max 0 n) list;
  sublist = slice;
  hasPrefix = prefix: list: take (length prefix) list == prefix;
  removePrefix =
    prefix: list:
    if hasPrefix prefix list then
      drop (length prefix) list
    else
      throw "lib.lists.removePrefix: First argument is not a list prefix of the second argument";
  commonPrefix =
    a: b:
    let
      same = zipListsWith (x: y: x == y) a b;
    in
    take (findFirstIndex (x: !x) (length same) same) a;
  last =
    list:
    if list == [ ] then
      throw "lists.last: list must not be empty!"
    else
      elemAt list (length list - 1);
  init =
    list: if list == [ ] then throw "lists.init: list must not be empty!" else dropEnd 1 list;
  crossLists = f: foldl (fs: args: concatMap (g: map g args) fs) [ f ];

  unique = builtins.foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
  uniqueStrings = list: builtins.attrNames (builtins.groupBy (x: x) list);
  allUnique = list: length (unique list) == length list;
  intersectLists = a: filter (x: elem x a);
  subtractLists = a: filter (x: !elem x a);
  mutuallyExclusive = a: b: !any (x: elem x b) a;
  concatAttrValues = set: builtins.concatLists (builtins.attrValues set);
  replaceElemAt =
    list: index: x:
    if index < 0 || index >= length list then
      throw "'lists.replaceElemAt' called with index ${toString index} on a list of size ${toString (length list)}"
    else
      genList (n: if n == index then x else elemAt list n) (length list);
}
