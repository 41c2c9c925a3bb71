(* `queue`: a long queue, first in, first out, so that everything lives equally long. *)

type message = Nobody | Message of { mutable next : message; body : bytes; number : int }
type queue = { mutable first : message; mutable last : message }

let batch = 32
let body = 48
let low_byte number = Char.unsafe_chr (number land 255)

let put queue number =
  let message = Message { next = Nobody; body = Bytes.make body (low_byte number); number } in
  (match queue.last with Message last -> last.next <- message | Nobody -> queue.first <- message);
  queue.last <- message

let check message expected =
  match message with
  | Message { body = bytes; number; _ }
    when number = expected
         && Bytes.length bytes = body
         && Bytes.get bytes 0 = low_byte number
         && Bytes.get bytes (body - 1) = low_byte number ->
      ()
  | _ -> Bench.damaged "message %d is damaged" expected

(* The queue never gets empty. *)
let take queue number =
  check queue.first number;
  match queue.first with Message first -> queue.first <- first.next | Nobody -> ()

let run () =
  let messages = Bench.parameter "size" and requests = Bench.parameter "requests" in
  let queue = { first = Nobody; last = Nobody } in
  for number = 0 to messages - 1 do
    put queue number
  done;
  Bench.start requests;
  for request = 0 to requests - 1 do
    for message = request * batch to ((request + 1) * batch) - 1 do
      put queue (messages + message)
    done;
    for message = request * batch to ((request + 1) * batch) - 1 do
      take queue message
    done;
    Bench.end_step ()
  done;
  Bench.stop ();
  let result = Fold.make () in
  let rec rest message expected =
    match message with
    | Nobody -> expected
    | Message { next; body = bytes; number } ->
        check message expected;
        Fold.add result number;
        Fold.add result (Char.code (Bytes.get bytes 0));
        Fold.add result (Char.code (Bytes.get bytes (body - 1)));
        rest next (expected + 1)
  in
  let next_in = messages + (requests * batch) in
  let found = rest queue.first (requests * batch) in
  if found <> next_in then Bench.damaged "the queue ends at %d, not %d" found next_in;
  result.hash
