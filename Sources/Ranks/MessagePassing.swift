/// Messages between the processes of one run, numbered from 0: their ranks.
///
/// All collectives are built on these in ``Communicator``, so that they are the same for every
/// transport.
public protocol MessagePassing {
  var rank: Int { get }
  var count: Int { get }

  /// Returns when the bytes may be changed again. At most ``Communicator/pieceSize`` per call.
  func send(_ bytes: UnsafeRawBufferPointer, to rank: Int) throws

  /// Waits for a message of exactly this many bytes; messages from one sender arrive in order.
  ///
  /// - Parameter check: called while waiting; an error ends the wait, and with it the run
  func receive(
    into bytes: UnsafeMutableRawBufferPointer, from rank: Int, check: () throws -> Void) throws

  /// Ends communication; no message may be in flight.
  func finish()

  /// Terminates the processes of all ranks, including this one, with an exit code.
  func abort(exitCode: Int32) -> Never
}
