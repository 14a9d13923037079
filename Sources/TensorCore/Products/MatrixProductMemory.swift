public import HostResources

extension RightFactor {
  /// Returns the memory of
  /// ``multiplyMatrices(_:_:into:outputStride:rows:columns:inner:scale:keep:bias:form:)``.
  ///
  /// - Parameters:
  ///   - isTransposed: whether the right factor is transposed
  ///   - leftStride: nil unless the left factor is transposed
  ///   - halfCount: the count of numbers in a half-precision right factor; nil if it is in single
  ///     precision
  ///   - rank: the rank of its low-rank term; 0: none
  public static func workingMemory(
    rows: Int, columns: Int, inner: Int, isTransposed: Bool, leftStride: Int?, halfCount: Int?,
    rank: Int
  ) -> WorkingMemory {
    guard rows > 0, columns > 0 else { return WorkingMemory() }
    let suitsPanels = PanelProduct.suits(
      rows: rows, columns: columns, inner: inner, isTransposed: isTransposed,
      leftStride: leftStride)
    let isMerged =
      suitsPanels
      && LowRankUpdate.isCheaperMerged(rows: rows, columns: columns, inner: inner)
    if rank > 0, !isMerged {
      func part(_ columns: Int, _ inner: Int, isTransposed: Bool, halfCount: Int?) -> WorkingMemory
      {
        workingMemory(
          rows: rows, columns: columns, inner: inner, isTransposed: isTransposed,
          leftStride: leftStride, halfCount: halfCount, rank: 0)
      }
      return WorkingMemory(
        then: [
          part(columns, inner, isTransposed: isTransposed, halfCount: halfCount),
          WorkingMemory(
            [rows * rank],
            then: [
              part(rank, inner, isTransposed: true, halfCount: nil),
              part(columns, rank, isTransposed: false, halfCount: nil),
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
        rows: rows, columns: columns, inner: inner, leftStride: leftStride)
  }
}
