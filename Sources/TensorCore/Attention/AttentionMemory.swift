public import HostResources

extension AttentionShape {
  /// What ``attend(query:key:value:into:logSumExp:_:form:)`` takes.
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

  /// What the gradients take.
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

  /// Copies of keys and values.
  private var tokensOfHeads: [Int] {
    let count = batch * heads * keyCount * headWidth
    return [count, count]
  }
}
