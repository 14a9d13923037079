import Foundation
public import Ranks
import Synchronization

/// Ranks that are threads of this process.
public final class ThreadRanks: MessagePassing {
  public let rank: Int
  public let count: Int
  private let boxes: Mailboxes

  private init(_ rank: Int, of count: Int, _ boxes: Mailboxes) {
    (self.rank, self.count, self.boxes) = (rank, count, boxes)
  }

  public func send(_ bytes: UnsafeRawBufferPointer, to rank: Int) throws {
    precondition(bytes.count <= Communicator.pieceSize)
    boxes.put(Array(bytes), from: self.rank, to: rank)
  }

  public func receive(
    into bytes: UnsafeMutableRawBufferPointer, from rank: Int, check: () throws -> Void
  ) throws {
    let message = try boxes.take(from: rank, to: self.rank, check: check)
    precondition(message.count == bytes.count, "\(message.count) bytes, not \(bytes.count)")
    bytes.copyBytes(from: message)
  }

  public func finish() {}
  public func abort(exitCode: Int32) -> Never { preconditionFailure("rank \(rank) aborts") }

  /// Runs `body` on each of `count` ranks; returns what each returned, by rank.
  public static func run<Result: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (Communicator) throws -> Result
  ) throws -> [Result] {
    let boxes = Mailboxes()
    let results = Mutex<[Int: Swift.Result<Result, any Error>]>([:])
    let done = DispatchSemaphore(value: 0)
    for rank in 0..<count {
      let thread = Thread {
        let result = Swift.Result {
          try body(Communicator(ThreadRanks(rank, of: count, boxes)))
        }
        // The others would wait for ever.
        if case .failure = result { boxes.close() }
        results.withLock { $0[rank] = result }
        done.signal()
      }
      thread.stackSize = 16 << 20
      thread.start()
    }
    for _ in 0..<count { done.wait() }
    let all = results.withLock { $0 }
    let failures = all.values.compactMap { result in
      if case .failure(let error) = result { error } else { nil }
    }
    if let first = failures.first(where: { !($0 is Closed) }) ?? failures.first { throw first }
    return try (0..<count).compactMap { try all[$0]?.get() }
  }

  /// Another rank has failed.
  private struct Closed: Error {}

  private final class Mailboxes: Sendable {
    private struct State {
      var messages: [[Int]: [[UInt8]]] = [:]
      var isClosed = false
    }
    private let state = Mutex(State())

    func put(_ message: [UInt8], from: Int, to: Int) {
      state.withLock { $0.messages[[from, to], default: []].append(message) }
    }

    func take(from: Int, to: Int, check: () throws -> Void) throws -> [UInt8] {
      while true {
        let message = try state.withLock { state -> [UInt8]? in
          guard let first = state.messages[[from, to]]?.first else {
            if state.isClosed { throw Closed() }
            return nil
          }
          state.messages[[from, to]]?.removeFirst()
          return first
        }
        if let message { return message }
        try check()
        usleep(20)
      }
    }

    func close() { state.withLock { $0.isClosed = true } }
  }
}
