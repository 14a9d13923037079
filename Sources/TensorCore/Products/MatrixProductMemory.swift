public import HostResources

extension RightFactor {
  /// Returns the memory of
  /// ``multiplyMatrices(_:_:into:outputStride:rows:columns:inner:scale:keep:bias:form:)``.
  ///
  /// - Parameters:
  ///   - isTransposed: whether the right factor is transposed
  ///   - halfCount: the count of numbers in a half-precision right factor; nil if it is in single
  ///     precision
  ///   - rank: the rank of its low-rank term; 0: none
  public static func workingMemory(
    rows: Int, columns: Int, inner: Int, left: (stride: Int, isTransposed: Bool),
    isTransposed: Bool, halfCount: Int?, rank: Int
  ) -> WorkingMemory {
    guard rows > 0, columns > 0 else { return WorkingMemory() }
    let suitsPanels = PanelProduct.suits(
      rows: rows, columns: columns, inner: inner, left: left, isTransposed: isTransposed, .native)
    let isMerged =
      suitsPanels
      && LowRankUpdate.isCheaperMerged(rows: rows, columns: columns, inner: inner)
    if rank > 0, !isMerged {
      return WorkingMemory(
        then: [
          workingMemory(
            rows: rows, columns: columns, inner: inner, left: left, isTransposed: isTransposed,
            halfCount: halfCount, rank: 0),
          WorkingMemory(
            [LowRankUpdate.sumCount(rows: rows, rank: rank)],
            then: [
              workingMemory(
                rows: rows, columns: rank, inner: inner, left: left, isTransposed: true,
                halfCount: nil, rank: 0),
              workingMemory(
                rows: rows, columns: columns, inner: rank, left: (rank, false),
                isTransposed: false, halfCount: nil, rank: 0),
            ]),
        ])
    }
    guard suitsPanels else { return WorkingMemory(halfCount.map { [$0] } ?? []) }
    let isInPlace =
      halfCount == nil
      && PanelProduct.readsInPlace(rows: rows, isTransposed: isTransposed, isUpdated: rank > 0)
    return isInPlace
      ? WorkingMemory()
      : PanelProduct.workingMemory(
        rows: rows, columns: columns, inner: inner, left: left,
        isWidened: isTransposed && halfCount != nil)
  }
}
