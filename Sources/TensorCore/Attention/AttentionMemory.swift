public import HostResources

extension AttentionShape {
  /// The memory needed by ``attend(query:key:value:into:logSumExp:_:form:)``.
  public var workingMemory: WorkingMemory {
    let size = min(AttentionBlock.queriesAtOnce, queryCount)
    let blocks = (queryCount + size - 1) / max(1, size)
    let columns = TokenColumns.padded(size)
    return WorkingMemory(
      tokensOfHeads,
      then: [
        .ofThreads(
          batch * heads * blocks,
          [
            columns * headWidth, columns * headWidth,
            AttentionBlock.scoreCount(self, .native),
          ])
      ])
  }

  /// The memory needed by the gradients.
  public var gradientWorkingMemory: WorkingMemory {
    let (columns, width) = (TokenColumns.padded(queryCount), TokenColumns.padded(headWidth))
    let block = HeadGradients.blockCount(self)
    return WorkingMemory(
      tokensOfHeads,
      then: [
        .ofThreads(
          batch * heads,
          [
            columns * headWidth, queryCount * width, columns * headWidth, queryCount * width,
            columns, columns, block, block, columns * headWidth, keyCount * width, keyCount * width,
          ])
      ])
  }

  /// The sizes of the copies of keys and values.
  private var tokensOfHeads: [Int] {
    let count = batch * heads * keyCount * headWidth
    return [count, count]
  }
}
