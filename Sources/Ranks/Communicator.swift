/// Collective communication of a run's ranks, as seen from one of them.
///
/// Every function is called by all ranks in the same order, and returns on each when its own part
/// is done. A single rank sends nothing.
///
/// Long arrays are passed from neighbour to neighbour in chunks, so that each rank sends and
/// receives them once, however many there are; and sums are added in rank order, whatever transport
/// is used.
public final class Communicator {
  /// Bytes sent at a time.
  public static let pieceSize = 1 << 22

  private let messages: (any MessagePassing)?
  public let rank: Int
  public let count: Int
  /// Whether all ranks are working together, so that one that fails must not leave the others
  /// waiting.
  public var isBusy = false
  /// The seconds that this process has spent in exchanges, including waiting.
  public private(set) var seconds = 0.0

  /// Creates a single rank.
  public init() {
    messages = nil
    (rank, count) = (0, 1)
  }

  public init(_ messages: any MessagePassing) {
    self.messages = messages
    (rank, count) = (messages.rank, messages.count)
  }

  public var isAlone: Bool { count == 1 }
  /// Whether this is rank 0, which alone writes.
  public var isFirst: Bool { rank == 0 }

  /// Ends communication with the others.
  public func finish() { messages?.finish() }

  /// Terminates all processes.
  public func abort(exitCode: Int32) { messages?.abort(exitCode: exitCode) }

  private func exchange<Result>(
    _ body: (any MessagePassing) throws -> Result
  ) rethrows -> Result? {
    guard let messages, count > 1 else { return nil }
    let start = ContinuousClock.now
    defer { seconds += (ContinuousClock.now - start) / .seconds(1) }
    return try body(messages)
  }
}

// MARK: - From one to another

extension Communicator {
  /// Sends exactly as many bytes as the other rank expects.
  public func send(_ bytes: UnsafeRawBufferPointer, to other: Int) throws {
    _ = try exchange { messages in
      for piece in Self.pieces(bytes.count) {
        try messages.send(UnsafeRawBufferPointer(rebasing: bytes[piece]), to: other)
      }
    }
  }

  public func receive(
    into bytes: UnsafeMutableRawBufferPointer, from other: Int, check: () throws -> Void = {}
  ) throws {
    _ = try exchange { messages in
      for piece in Self.pieces(bytes.count) {
        try messages.receive(
          into: UnsafeMutableRawBufferPointer(rebasing: bytes[piece]), from: other, check: check)
      }
    }
  }

  /// Sends an array whose length the receiver need not know.
  public func send(_ values: [Float], to other: Int) throws {
    try withUnsafeBytes(of: Int64(values.count)) { try send($0, to: other) }
    try values.withUnsafeBytes { try send($0, to: other) }
  }

  public func receiveFloats(from other: Int) throws -> [Float] {
    var size: Int64 = 0
    try withUnsafeMutableBytes(of: &size) { try receive(into: $0, from: other) }
    return try [Float](unsafeUninitializedCapacity: Int(size)) { buffer, count in
      try receive(
        into: UnsafeMutableRawBufferPointer(
          UnsafeMutableBufferPointer(rebasing: buffer[..<Int(size)])), from: other)
      count = Int(size)
    }
  }

  private static func pieces(_ byteCount: Int) -> [Range<Int>] {
    stride(from: 0, to: byteCount, by: pieceSize).map { $0..<min($0 + pieceSize, byteCount) }
  }
}

// MARK: - Collectives

extension Communicator {
  /// Broadcasts rank 0's bytes to all ranks.
  ///
  /// - Parameter check: called while waiting
  public func broadcast(
    _ bytes: UnsafeMutableRawBufferPointer, check: () throws -> Void = {}
  ) throws {
    _ = try exchange { messages in
      for piece in Self.pieces(bytes.count) {
        let part = UnsafeMutableRawBufferPointer(rebasing: bytes[piece])
        if rank > 0 { try messages.receive(into: part, from: rank - 1, check: check) }
        if rank + 1 < count { try messages.send(UnsafeRawBufferPointer(part), to: rank + 1) }
      }
    }
  }

  /// Returns rank 0's number.
  public func broadcast(_ number: Int, check: () throws -> Void = {}) throws -> Int {
    var number = Int64(number)
    try withUnsafeMutableBytes(of: &number) { try broadcast($0, check: check) }
    return Int(number)
  }

  /// Returns rank 0's bytes, of any length.
  public func broadcast(_ bytes: [UInt8], check: () throws -> Void = {}) throws -> [UInt8] {
    let size = try broadcast(bytes.count, check: check)
    var result = isFirst ? bytes : [UInt8](repeating: 0, count: size)
    try result.withUnsafeMutableBytes { try broadcast($0) }
    return result
  }

  /// Adds the numbers of all ranks; rank 0 gets the sum, the others' arrays are overwritten.
  public func sum(_ values: UnsafeMutableBufferPointer<Float>) throws {
    let bytes = UnsafeMutableRawBufferPointer(values)
    var buffer = [Float](
      repeating: 0, count: min(values.count, Self.pieceSize / MemoryLayout<Float>.size))
    _ = try exchange { messages in
      for piece in Self.pieces(bytes.count) {
        let part = UnsafeMutableRawBufferPointer(rebasing: bytes[piece])
        if rank + 1 < count {
          try buffer.withUnsafeMutableBytes {
            try messages.receive(
              into: UnsafeMutableRawBufferPointer(rebasing: $0[..<part.count]), from: rank + 1,
              check: {})
          }
          let first = piece.lowerBound / MemoryLayout<Float>.size
          for index in 0..<part.count / MemoryLayout<Float>.size {
            values[first + index] += buffer[index]
          }
        }
        if rank > 0 { try messages.send(UnsafeRawBufferPointer(part), to: rank - 1) }
      }
    }
  }

  /// Returns the contributions of all ranks, by rank, on all ranks.
  public func gather(_ own: [UInt8]) throws -> [[UInt8]] {
    guard !isAlone else { return [own] }
    var all = [own]
    var size = Int64(own.count)
    if isFirst {
      for other in 1..<count {
        try withUnsafeMutableBytes(of: &size) { try receive(into: $0, from: other) }
        var bytes = [UInt8](repeating: 0, count: Int(size))
        try bytes.withUnsafeMutableBytes { try receive(into: $0, from: other) }
        all.append(bytes)
      }
    } else {
      try withUnsafeBytes(of: &size) { try send($0, to: 0) }
      try own.withUnsafeBytes { try send($0, to: 0) }
      all = [[UInt8]](repeating: [], count: count)
    }
    return try all.map { try broadcast($0) }
  }

  /// Returns the largest of the ranks' numbers.
  public func maximum(_ number: Int) throws -> Int {
    let all = try gather(withUnsafeBytes(of: Int64(number)) { Array($0) })
    return Int(
      all.map { $0.withUnsafeBytes { $0.loadUnaligned(as: Int64.self) } }.max() ?? Int64(number))
  }

  /// Returns the results of independent items, in order, on all ranks: item i is computed by rank i
  /// mod n, so that the result does not depend on n.
  ///
  /// - Parameters:
  ///   - write: the bytes of a result
  ///   - read: the result of these bytes
  public func divided<Result>(
    _ itemCount: Int, write: (Result) throws -> [UInt8], read: ([UInt8]) throws -> Result,
    compute: (Int) throws -> Result
  ) throws -> [Result] {
    guard !isAlone else { return try (0..<itemCount).map(compute) }
    let own = try stride(from: rank, to: itemCount, by: count).map(compute)
    var results: [Result?] = [Result?](repeating: nil, count: itemCount)
    // Round by round, so that no more than one result per rank is duplicated.
    for round in 0..<(itemCount + count - 1) / count {
      let bytes = try gather(round < own.count ? try write(own[round]) : [])
      for other in 0..<count where round * count + other < itemCount {
        results[round * count + other] =
          other == rank ? own[round] : try read(bytes[other])
      }
    }
    return results.compactMap { $0 }
  }
}
