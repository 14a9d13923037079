/// Messages between the processes of one run, which are numbered from 0: their ranks.
///
/// All else that ranks do together is made of these in ``Communicator``, so that it is the same whatever
/// carries the messages.
public protocol MessagePassing {
  var rank: Int { get }
  var count: Int { get }

  /// Returns when the bytes may be changed again. No more than ``Communicator/pieceSize`` at a time.
  func send(_ bytes: UnsafeRawBufferPointer, to rank: Int) throws

  /// Waits for a message of exactly so many bytes; messages of one sender arrive in their order.
  ///
  /// - Parameter check: called while waiting; what it throws ends the wait, and with it the run
  func receive(
    into bytes: UnsafeMutableRawBufferPointer, from rank: Int, check: () throws -> Void) throws

  /// Takes leave of the others: no message may be under way.
  func finish()

  /// Ends the processes of all ranks, this one included, with an exit code.
  func abort(exitCode: Int32) -> Never
}
