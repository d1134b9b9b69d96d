-- Nothing happened. 0: a key is there already; 9: it lost against another and is to be made again, whole.
BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK;
    IF ERROR_NUMBER() IN (2627, 2601) SET @outcome = 0;
    ELSE IF ERROR_NUMBER() IN (1205, 3960) SET @outcome = 9;
    ELSE THROW;
END CATCH
