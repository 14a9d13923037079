package import Autograd
package import NN
package import Ranks

/// The accumulated gradients of a batch computed in parts, or of several batches that make one
/// update.
package struct GradientSum {
  private let parameters: [Parameter]
  package private(set) var gradients: [Tensor?]
  /// The sum of the parts' losses.
  package private(set) var loss: Float
  /// The number of complete batches in it.
  var batches: Int

  /// A part of a batch.
  package struct Part {
    let loss: Tensor
    let weight: Float
    /// Other measurements of the part.
    let figures: [Float]

    package init(loss: Tensor, weight: Float = 1, figures: [Float] = []) {
      (self.loss, self.weight, self.figures) = (loss, weight, figures)
    }
  }

  package init(
    _ parameters: [Parameter], gradients: [Tensor?]? = nil, loss: Float = 0, batches: Int = 0
  ) {
    self.parameters = parameters
    self.gradients = gradients ?? parameters.map { _ in nil }
    self.loss = loss
    self.batches = batches
  }

  /// Adds `weight` times the gradients of a part's loss.
  mutating func add(_ part: Tensor, weight: Float = 1) {
    let scaled = part.scaled(by: weight)
    loss += scaled.scalar
    addGradients(of: scaled, for: parameters.map(\.tensor), to: &gradients)
  }

  /// Adds parts divided among ranks, part i computed by rank i mod n; rank 0 gets the sum.
  ///
  /// Gradients small enough to be sent individually are added in the order of the parts, so that
  /// the sum does not depend on n. Large ones are first summed on each rank, so its last bits do.
  ///
  /// - Parameters:
  ///   - large: the size from which gradients are summed on each rank
  ///   - part: computes one part
  /// - Returns: the measurements of all parts, in order; incomplete on ranks other than 0
  package mutating func add(
    parts count: Int, _ ranks: Communicator, large: Int = [Parameter].floatsAtOnce,
    _ part: (Int) throws -> Part
  ) throws -> [[Float]] {
    let own = stride(from: ranks.rank, to: count, by: ranks.count)
    guard !ranks.isAlone else { return try own.map { add(try part($0)) } }
    guard parameters.valueCount > large else {
      return try gather(count, ranks, part)
    }
    var share = GradientSum(parameters)
    var figures: [Float] = []
    for number in own {
      let before = share.loss
      let part = share.add(try part(number))
      figures += [Float(part.count), share.loss - before] + part
    }
    try addShares(&share, ranks)
    return try addLosses(figures, count, ranks)
  }

  private mutating func add(_ part: Part) -> [Float] {
    add(part.loss, weight: part.weight)
    return part.figures
  }
}

// MARK: - Individual parts

extension GradientSum {
  private mutating func gather(
    _ count: Int, _ ranks: Communicator, _ part: (Int) throws -> Part
  ) throws -> [[Float]] {
    var figures: [[Float]] = []
    for number in 0..<count {
      let owner = number % ranks.count
      if owner == ranks.rank {
        let own = try part(number)
        if ranks.isFirst {
          figures.append(add(own))
        } else {
          try ranks.send(message(own), to: 0)
        }
      } else if ranks.isFirst {
        figures.append(add(try ranks.receiveFloats(from: owner)))
      }
    }
    return figures
  }

  /// Returns a part serialized for another rank: measurements, loss, and the terms of each
  /// gradient.
  private func message(_ part: Part) -> [Float] {
    let scaled = part.loss.scaled(by: part.weight)
    let loss = scaled.scalar
    let terms = gradientTerms(of: scaled, for: parameters.map(\.tensor))
    var message = [Float(part.figures.count)] + part.figures + [loss]
    message += terms.map { Float($0.count) }
    for term in terms.joined() { term.withValues { message += $0 } }
    return message
  }

  /// - Returns: the part's measurements
  private mutating func add(_ message: [Float]) -> [Float] {
    var rest = message[...]
    func take(_ count: Int) -> ArraySlice<Float> {
      defer { rest = rest.dropFirst(count) }
      return rest.prefix(count)
    }
    let figures = Array(take(Int(take(1)[0])))
    loss += take(1).first ?? 0
    for (index, count) in take(parameters.count).map({ Int($0) }).enumerated() {
      let shape = parameters[index].tensor.shape
      for _ in 0..<count {
        let term = Tensor(Array(take(shape.reduce(1, *))), shape: shape)
        addGradient(term, to: &gradients[index])
      }
    }
    return figures
  }
}

// MARK: - Sums per rank

extension GradientSum {
  /// Adds the gradients of all ranks' shares, which are consumed.
  private mutating func addShares(_ share: inout GradientSum, _ ranks: Communicator) throws {
    for range in parameters.rangesAtOnce {
      // A flag for whether there is a gradient precedes each.
      var numbers: [Float] = range.map { share.gradients[$0] == nil ? 0 : 1 }
      for index in range {
        let count = parameters[index].tensor.count
        numbers += share.gradients[index]?.values ?? [Float](repeating: 0, count: count)
        share.gradients[index] = nil
      }
      try numbers.withUnsafeMutableBufferPointer { try ranks.sum($0) }
      guard ranks.isFirst else { continue }
      var place = range.count
      for (offset, index) in range.enumerated() {
        let shape = parameters[index].tensor.shape
        let end = place + shape.reduce(1, *)
        if numbers[offset] > 0 {
          addGradient(Tensor(Array(numbers[place..<end]), shape: shape), to: &gradients[index])
        }
        place = end
      }
    }
  }

  /// Adds the losses of all parts in order.
  private mutating func addLosses(
    _ own: [Float], _ count: Int, _ ranks: Communicator
  ) throws -> [[Float]] {
    var all = try ranks.gather(own.withUnsafeBytes { Array($0) }).map { bytes in
      bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }[...]
    }
    return (0..<count).map { number in
      let owner = number % ranks.count
      let head = all[owner].prefix(2)
      let size = Int(head.first ?? 0)
      loss += head.last ?? 0
      defer { all[owner] = all[owner].dropFirst(2 + size) }
      return Array(all[owner].dropFirst(2).prefix(size))
    }
  }
}

extension [Parameter] {
  /// The count of numbers sent together: 64 MB.
  package static var floatsAtOnce: Int { 16 << 20 }

  var valueCount: Int { reduce(0) { $0 + $1.tensor.count } }

  /// Ranges of parameters that are sent together; a larger one is sent alone.
  var rangesAtOnce: [Range<Int>] {
    var ranges: [Range<Int>] = []
    var count = 0
    for (index, parameter) in enumerated() {
      count += parameter.tensor.count
      if let last = ranges.last, count <= Self.floatsAtOnce {
        ranges[ranges.count - 1] = last.lowerBound..<index + 1
      } else {
        ranges.append(index..<index + 1)
        count = parameter.tensor.count
      }
    }
    return ranges
  }
}
