(* A splay tree whose nodes carry small trees, rewritten at every access. *)

(* An inner node has the first two, a leaf the others. *)
type payload =
  | None
  | Payload of { left : payload; right : payload; numbers : bytes; text : bytes }

(* Keys have 64 bits, one more than an [int]: [key] is the upper 63, ordered as the whole, and [bit] the lowest. *)
type tree =
  | Empty
  | Node of { mutable left : tree; mutable right : tree; payload : payload; key : int; bit : int }

(* Depth of a payload, and bytes in its leaves. *)
let payload_depth = 5
let numbers_bytes = 80
let text_bytes = 40

let[@inline always] upper key = Int64.to_int (Int64.shift_right key 1) lxor min_int
let[@inline always] lowest key = Int64.to_int key land 1

(* The whole key again. *)
let whole key bit = Int64.add (Int64.shift_left (Int64.of_int (key lxor min_int)) 1) (Int64.of_int bit)

let[@inline always] compare_keys (key : int) (bit : int) key' bit' =
  if key < key' then -1 else if key > key' then 1 else bit - bit'

let low_byte key bit = Char.unsafe_chr (((key lsl 1) lor bit) land 255)

let rec new_payload depth byte =
  if depth > 0 then
    let left = new_payload (depth - 1) byte in
    let right = new_payload (depth - 1) byte in
    Payload { left; right; numbers = Bytes.empty; text = Bytes.empty }
  else
    let numbers = Bytes.make numbers_bytes byte in
    Payload { left = None; right = None; numbers; text = Bytes.make text_bytes byte }

let rec is_payload payload depth byte =
  let is_filled bytes length = bytes = Bytes.make length byte in
  match payload with
  | None -> false
  | Payload { left; right; _ } when depth > 0 ->
      is_payload left (depth - 1) byte && is_payload right (depth - 1) byte
  | Payload { numbers; text; _ } -> is_filled numbers numbers_bytes && is_filled text text_bytes

(* The first byte of each leaf's numbers, and of its text. *)
let rec fold_leaves result = function
  | None -> ()
  | Payload { left; right; numbers; text } ->
      List.iter
        (fun bytes -> if bytes <> Bytes.empty then Fold.add result (Char.code (Bytes.get bytes 0)))
        [ numbers; text ];
      fold_leaves result left;
      fold_leaves result right

let set_left tree child = match tree with Node node -> node.left <- child | Empty -> ()
let set_right tree child = match tree with Node node -> node.right <- child | Empty -> ()
let left tree = match tree with Node { left; _ } -> left | Empty -> Empty
let right tree = match tree with Node { right; _ } -> right | Empty -> Empty

(* Moves the node with the key, or a neighbour of where it would be, to the root: top-down (Sleator and Tarjan 1985). [smaller] and
   [greater] are the ends of two trees that grow meanwhile; their roots are put under the new root at last. *)
let splay root key bit =
  let smaller = ref Empty and greater = ref Empty in
  let all_smaller = ref Empty and all_greater = ref Empty in
  let put_greater tree =
    if !greater == Empty then all_greater := tree else set_left !greater tree;
    greater := tree
  and put_smaller tree =
    if !smaller == Empty then all_smaller := tree else set_right !smaller tree;
    smaller := tree
  in
  let rec down current =
    match current with
    | Empty -> current
    | Node node ->
        let order = compare_keys key bit node.key node.bit in
        if order < 0 then
          match node.left with
          | Empty -> current
          | Node next when compare_keys key bit next.key next.bit < 0 -> (
              let above = node.left in
              node.left <- next.right;
              next.right <- current;
              match next.left with
              | Empty -> above
              | below ->
                  put_greater above;
                  down below)
          | below ->
              put_greater current;
              down below
        else if order > 0 then
          match node.right with
          | Empty -> current
          | Node next when compare_keys key bit next.key next.bit > 0 -> (
              let above = node.right in
              node.right <- next.left;
              next.left <- current;
              match next.right with
              | Empty -> above
              | below ->
                  put_smaller above;
                  down below)
          | below ->
              put_smaller current;
              down below
        else current
  in
  let root = down root in
  if !smaller != Empty then (
    set_right !smaller (left root);
    set_left root !all_smaller);
  if !greater != Empty then (
    set_left !greater (right root);
    set_right root !all_greater);
  root

(* The tree with a new node, or none if its key is there already. *)
let insert root key bit =
  let payload = new_payload payload_depth (low_byte key bit) in
  match splay root key bit with
  | Empty -> (Node { left = Empty; right = Empty; payload; key; bit }, true)
  | Node node as root ->
      let order = compare_keys key bit node.key node.bit in
      if order = 0 then (root, false)
      else if order > 0 then (
        let far = node.right in
        node.right <- Empty;
        (Node { left = root; right = far; payload; key; bit }, true))
      else
        let far = node.left in
        node.left <- Empty;
        (Node { left = far; right = root; payload; key; bit }, true)

let rec greatest tree = match tree with Node { right = Node _ as next; _ } -> greatest next | _ -> tree

(* Takes out the node with the greatest key below, or that of the key itself if it is the least; the tree without it, and its key. *)
let take_below root key bit =
  let root = splay root key bit in
  let key, bit = match greatest (left root) with Node { key; bit; _ } -> (key, bit) | Empty -> (key, bit) in
  match splay root key bit with
  | Empty -> Bench.damaged "the tree had nothing to take"
  | Node { left; right; key = taken; bit = taken_bit; _ } -> (
      (* All that is left has smaller keys, so its root has no right subtree then. *)
      match splay left key bit with
      | Empty -> (right, whole taken taken_bit)
      | rest ->
          set_right rest right;
          (rest, whole taken taken_bit))

let check root result =
  let count = ref 0 and sum = ref 0L and last = ref Option.None in
  (* A splay tree can be as deep as it has nodes: the walk has a stack of its own. *)
  let rec walk tree stack =
    match (tree, stack) with
    | Node { left; _ }, _ -> walk left (tree :: stack)
    | Empty, Node { right; payload; key; bit; _ } :: stack ->
        let whole = whole key bit in
        (match !last with
        | Some before when Int64.unsigned_compare before whole >= 0 ->
            Bench.damaged "key %Lu is not in its place" whole
        | _ -> ());
        if not (is_payload payload payload_depth (low_byte key bit)) then
          Bench.damaged "the payload of key %Lu is damaged" whole;
        last := Some whole;
        incr count;
        sum := Int64.add !sum whole;
        Fold.add64 result whole;
        fold_leaves result payload;
        walk right stack
    | Empty, _ -> ()
  in
  walk root [];
  (!count, !sum)

let run () =
  let nodes = Bench.parameter "size" and requests = Bench.parameter "requests" in
  let random = Bench.random () in
  let sum = ref 0L and root = ref Empty and size = ref 0 in
  while !size < nodes do
    let key = Random.any random in
    let tree, is_new = insert !root (upper key) (lowest key) in
    root := tree;
    if is_new then (
      sum := Int64.add !sum key;
      incr size)
  done;
  Bench.start requests;
  for _ = 1 to requests do
    let key = Random.any random in
    let tree, is_new = insert !root (upper key) (lowest key) in
    root := tree;
    if is_new then (
      let tree, taken = take_below !root (upper key) (lowest key) in
      root := tree;
      sum := Int64.sub (Int64.add !sum key) taken);
    Bench.end_step ()
  done;
  Bench.stop ();
  let result = Fold.make () in
  let found, found_sum = check !root result in
  if found <> nodes || found_sum <> !sum then
    Bench.damaged "%d keys add up to %Lu, not %d to %Lu" found found_sum nodes !sum;
  result.hash
