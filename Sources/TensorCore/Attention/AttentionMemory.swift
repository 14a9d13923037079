public import HostResources

/// The block of ``KeyLengths``, in floats.
struct KeyLengthsMemory {
  let squares: Int

  init(_ shape: AttentionShape) { squares = shape.batch * shape.heads }
}

/// The blocks of an ``AttentionBlock``, in floats.
struct AttentionBlockMemory {
  /// Of the queries, and of their sums.
  let queries: Int
  let scores: Int
  /// Of the maxima, and of the totals.
  let maxima: Int

  init(_ shape: AttentionShape, _ form: TileForm) {
    maxima = TokenColumns.padded(shape.queriesOfBlock)
    queries = maxima * shape.headWidth
    scores = min(AttentionBlock.keysAtOnce, shape.keyCount) * form.attentionColumns
  }
}

/// The blocks of ``HeadGradients``, in floats.
struct HeadGradientsMemory {
  /// Of the queries and the output's gradients as columns, and of the queries' gradients.
  let columns: Int
  /// Of the queries and the output's gradients as rows.
  let rows: Int
  /// Of the keys' gradients, and of the values'.
  let keyRows: Int
  /// Of the initial values of the scores, and of their gradients.
  let firstScores: Int
  /// Of the probabilities, and of the scores' gradients.
  let scores: Int
  let blockStride: Int

  init(_ shape: AttentionShape) {
    let width = TokenColumns.padded(shape.headWidth)
    firstScores = TokenColumns.padded(shape.queryCount)
    columns = firstScores * shape.headWidth
    rows = shape.queryCount * width
    keyRows = shape.keyCount * width
    blockStride = min(TokenColumns.columnsTogether, firstScores)
    scores = HeadGradients.keysAtOnce * blockStride
  }
}

extension AttentionShape {
  /// The memory needed by ``attend(query:key:value:into:logSumExp:_:form:)``.
  public var workingMemory: WorkingMemory {
    let block = AttentionBlockMemory(self, .native)
    let threads = WorkingMemory.ofThreads(
      batch * heads * blockCount,
      [block.queries, block.scores, block.queries, block.maxima, block.maxima])
    return mayBeBounded
      ? WorkingMemory([KeyLengthsMemory(self).squares], then: [threads]) : threads
  }

  /// The memory needed by the gradients.
  public var gradientWorkingMemory: WorkingMemory {
    let head = HeadGradientsMemory(self)
    return .ofThreads(
      batch * heads,
      [
        head.columns, head.rows, head.columns, head.rows, head.firstScores, head.firstScores,
        head.scores, head.scores, head.columns, head.keyRows, head.keyRows,
      ])
  }
}
